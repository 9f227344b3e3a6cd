// Shell completion, made from the command tree, so that it cannot know less or more than the program.
import type { Command } from "commander";

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/** The script that a shell sources. */
export function completionScript(program: Command, shell: Shell): string {
  const places = placesOf(program, "", []);
  switch (shell) {
    case "bash":
      return bashScript(places);
    case "zsh":
      return zshScript(places);
    case "fish":
      return fishScript(places);
  }
}

interface Candidate {
  readonly text: string;
  readonly description: string;
}
/** A command, as the words that lead to it: ``, `/invoke`, `/functions/list`. */
interface Place {
  readonly path: string;
  readonly commands: readonly Candidate[];
  readonly options: readonly Candidate[];
  /** Options whose values are known. */
  readonly values: readonly { readonly flags: readonly string[]; readonly values: readonly string[] }[];
}

function placesOf(command: Command, path: string, inherited: Command["options"]): Place[] {
  const options = [...command.options, ...inherited];
  const place: Place = {
    path,
    commands: command.commands.map((child) => ({
      text: child.name(),
      description: child.summary() || child.description(),
    })),
    options: options.flatMap((option) => flagsOf(option).map((text) => ({ text, description: option.description }))),
    values: [
      ...options.flatMap((option) =>
        option.argChoices ? [{ flags: flagsOf(option), values: option.argChoices }] : [],
      ),
      ...command.registeredArguments.flatMap(({ argChoices }) =>
        argChoices ? [{ flags: [command.name()], values: argChoices }] : [],
      ),
    ],
  };
  return [place, ...command.commands.flatMap((child) => placesOf(child, `${path}/${child.name()}`, options))];
}

function flagsOf({ short, long }: { short?: string | undefined; long?: string | undefined }): string[] {
  return [short, long].filter((flag) => flag !== undefined);
}

function bashScript(places: readonly Place[]): string {
  const values = places.flatMap(({ path, values }) =>
    values.flatMap(({ flags, values }) =>
      flags.map((flag) => `    "${path} ${flag}") candidates="${values.join(" ")}" ;;`),
    ),
  );
  const words = places.map(
    ({ path, commands, options }) =>
      `      "${path}") candidates="${[...commands, ...options].map(({ text }) => text).join(" ")}" ;;`,
  );
  return `# bash completion for sluice: source <(sluice completion bash)
_sluice() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" place="" word candidates=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$place/$word" in
      ${pathPattern(places)}) place="$place/$word" ;;
    esac
  done
  case "$place $previous" in
${values.join("\n")}
  esac
  if [ -z "$candidates" ]; then
    case "$place" in
${words.join("\n")}
    esac
  fi
  COMPREPLY=($(compgen -W "$candidates" -- "$current"))
}
complete -o default -F _sluice sluice
`;
}

function zshScript(places: readonly Place[]): string {
  const values = places.flatMap(({ path, values }) =>
    values.flatMap(({ flags, values }) =>
      flags.map((flag) => `    ("${path} ${flag}") compadd -- ${values.join(" ")}; return ;;`),
    ),
  );
  const words = places.map(({ path, commands, options }) => {
    const entries = [...commands, ...options].map(({ text, description }) => quote(`${text}:${description}`));
    return `    ("${path}") candidates=(${entries.join(" ")}) ;;`;
  });
  return `#compdef sluice
# zsh completion for sluice: source <(sluice completion zsh)
_sluice() {
  local place="" word previous="\${words[CURRENT-1]}"
  local -a candidates
  for word in \${words[2,CURRENT-1]}; do
    case "$place/$word" in
      (${pathPattern(places)}) place="$place/$word" ;;
    esac
  done
  case "$place $previous" in
${values.join("\n")}
  esac
  case "$place" in
${words.join("\n")}
  esac
  _describe 'sluice' candidates
  _files
}
compdef _sluice sluice
`;
}

function fishScript(places: readonly Place[]): string {
  const lines = places.flatMap(({ path, commands, options, values }) => {
    const at = `complete -c sluice -n '__sluice_at "${path}"'`;
    return [
      ...commands.map(({ text, description }) => `${at} -f -a ${text} -d ${quote(description)}`),
      ...options.map(({ text, description }) => `${at} ${fishFlag(text)} -d ${quote(description)}`),
      ...values.flatMap(({ flags, values }) =>
        flags.map((flag) => `${at} ${flag.startsWith("-") ? `${fishFlag(flag)} -x` : "-f"} -a '${values.join(" ")}'`),
      ),
    ];
  });
  return `# fish completion for sluice: sluice completion fish | source
function __sluice_at
    set -l place ""
    for word in (commandline -opc)[2..-1]
        switch "$place/$word"
            case ${places.flatMap(({ path }) => (path ? [`"${path}"`] : [])).join(" ")}
                set place "$place/$word"
        end
    end
    test "$place" = "$argv[1]"
end
${lines.join("\n")}
`;
}

function pathPattern(places: readonly Place[]): string {
  return places.flatMap(({ path }) => (path ? [path] : [])).join("|");
}

function fishFlag(flag: string): string {
  return flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`;
}

/** In single quotes, where every shell of the three takes everything as it is but the quote itself. */
function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "’")}'`;
}
