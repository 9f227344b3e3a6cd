// The command tree: what can be typed. What happens then is in `actions/`.
import { priorities, taskStatuses } from "@sluice/client";
import { Argument, Command, Option } from "commander";
import { getAccount, listAccounts, setAccount } from "./actions/accounts.ts";
import {
  clusterAgents,
  clusterMembers,
  clusterPartitions,
  clusterStatus,
  mergePartition,
  movePartition,
  splitPartition,
} from "./actions/cluster.ts";
import { deploy } from "./actions/deploy.ts";
import { clusterEvents, type EventsOptions } from "./actions/events.ts";
import { deleteFunction, getFunction, listFunctions, setFunction } from "./actions/functions.ts";
import { type InvokeOptions, invoke } from "./actions/invoke.ts";
import { invokeLines } from "./actions/invoke-lines.ts";
import { logs } from "./actions/logs.ts";
import {
  type BatchOptions,
  batch,
  cancelOperation,
  listOperations,
  type PauseOptions,
  pause,
  pauses,
  resume,
  showOperation,
  type TargetOptions,
  watchOperation,
} from "./actions/operations.ts";
import { addRoute, listRoutes, removeRoute } from "./actions/routes.ts";
import { status } from "./actions/status.ts";
import { get, list, stop, watch } from "./actions/tasks.ts";
import { completionScript, type Shell, shells } from "./completion.ts";
import type { Context } from "./context.ts";
import type { ExitCode } from "./errors.ts";
import {
  addFlowSettings,
  addSettings,
  type FlowOptions,
  flowSettingsOf,
  type SettingOptions,
  settingsOf,
} from "./function-settings.ts";
import {
  type FlowName,
  type PartitionName,
  parseCount,
  parseDuration,
  parseFlow,
  parseNumber,
  parsePartition,
  parseTag,
  parseTime,
  parseVariable,
} from "./parse.ts";

/** How actions are run: with a connected client, or without. */
export interface Runner {
  connected(action: (context: Context) => Promise<ExitCode>): Promise<void>;
  print(text: string): Promise<void>;
}

/** The program; parse with `parseAsync`. */
export function createProgram(runner: Runner): Command {
  const program = new Command("sluice")
    .description("Submits tasks to Sluice and looks after them.")
    .version("0.1.0", "-V, --version", "show the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help of a command")
    .option("--address <host:port>", "the server; default: SLUICE_ADDRESS, the profile, or 127.0.0.1:50051")
    .option("--access-key-id <id>", "id of the access key; default: SLUICE_ACCESS_KEY_ID, or the profile")
    .option("--access-key-secret <secret>", "its secret; default: SLUICE_ACCESS_KEY_SECRET, or the profile")
    .option("--tls", "encrypt the connection, and trust the public authorities")
    .option("--ca <file>", "encrypt it, and trust the authority in this PEM file; default: SLUICE_TLS_CA")
    .option("--cert <file>", "client certificate, for a server that asks for one; default: SLUICE_TLS_CERT")
    .option("--key <file>", "key of the client certificate; default: SLUICE_TLS_KEY")
    .option("--data-dir <dir>", "folder with the profile client.json; default: SLUICE_DATA_DIR, or .sluice")
    .addOption(
      new Option("--retry-timeout <duration>", "go on trying while the server is away")
        .argParser(parseDuration)
        .default(10_000, "10s"),
    )
    .option("--json", "write JSON for programs: one document, or one per line")
    .showHelpAfterError("(see sluice --help)");
  addDeploy(program, runner);
  addInvoke(program, runner);
  addTasks(program, runner);
  addFunctions(program, runner);
  addPauses(program, runner);
  addBatches(program, runner);
  addOperations(program, runner);
  addCluster(program, runner);
  addAccounts(program, runner);
  program
    .command("status")
    .description("show whether the server answers, its health and its counts")
    .action(() => runner.connected(status));
  program
    .command("completion")
    .description("write a completion script for a shell")
    .addArgument(new Argument("<shell>").choices(shells))
    .action((shell: Shell) => runner.print(completionScript(program, shell)));
  return program;
}

function addDeploy(program: Command, runner: Runner): void {
  const command = program
    .command("deploy")
    .description("create a function, or change it, from a folder with its code and its sluice.json")
    .argument("<dir>", "the folder")
    .option("--name <name>", "name of the function; default: that of sluice.json, or of the folder")
    .option("--runtime <runtime>", "such as nodejs20 or python3")
    .option("--handler <handler>", "file.export, such as index.handler");
  addSettings(command)
    .option("--env <name=value>", "an environment variable of the handler; may be given again", parseVariable)
    .action((dir: string, options) => runner.connected((context) => deploy(context, dir, options)));
}

function addInvoke(program: Command, runner: Runner): void {
  program
    .command("invoke")
    .description("run a function: submit a task, wait for it and write its result")
    .argument("<function>", "name of the function")
    .addOption(new Option("-e, --event <text>", "input of the handler").conflicts(["file", "stdinLines"]))
    .addOption(new Option("--file <file>", "file with the input").conflicts(["event", "stdinLines"]))
    .option("--stdin-lines", "submit one task for each line of stdin; empty lines are left out")
    .addOption(new Option("--async", "only submit, and write the task id").conflicts("wait"))
    .option("--wait", "with --stdin-lines: also wait until all tasks are final")
    .addOption(new Option("--task-id <id>", "id of the task; default: a new one").conflicts("stdinLines"))
    .addOption(new Option("--priority <priority>", "how urgent it is").choices(priorities))
    .option("--delay <duration>", "time to wait before the first attempt", parseDuration)
    .option("--expires <duration>", "drop the task if it was not started so long after the delay", parseDuration)
    .option("--token <token>", "submit only once, however often the command is run with this token")
    .option("--tag <tag>", "a tag for filters; may be given again, up to 8 times", parseTag)
    .option("--timeout <duration>", "give up waiting; the task goes on", parseDuration)
    .action((functionName: string, options: InvokeOptions) =>
      runner.connected((context) => (options.stdinLines ? invokeLines : invoke)(context, functionName, options)),
    );
}

function addTasks(program: Command, runner: Runner): void {
  const onTask = (name: string, description: string) =>
    program
      .command(name)
      .description(description)
      .argument("<function>", "name of the function")
      .argument("<task>", "id of the task");
  onTask("get", "show a task with its input, result and steps").action((functionName: string, taskId: string) =>
    runner.connected((context) => get(context, functionName, taskId)),
  );
  addSelection(program.command("list").description("list tasks, newest first"))
    .option("--oldest-first", "oldest first")
    .option("--payload", "also show inputs and results")
    .option("--limit <count>", "at most so many", parseCount, 20)
    .action((functionName: string | undefined, options) =>
      runner.connected((context) => list(context, functionName, options)),
    );
  onTask("watch", "show every change of a task until it is final").action((functionName: string, taskId: string) =>
    runner.connected((context) => watch(context, functionName, taskId)),
  );
  onTask("logs", "show what a task wrote to stdout and stderr")
    .option("-f, --follow", "go on until the attempt ends")
    .option("--attempt <number>", "the attempt, from 1; default: the latest", parseCount)
    .action((functionName: string, taskId: string, options) =>
      runner.connected((context) => logs(context, { functionName, taskId }, options)),
    );
  onTask("stop", "stop a task; no new attempt starts").action((functionName: string, taskId: string) =>
    runner.connected((context) => stop(context, functionName, taskId)),
  );
}

/** The argument and the options that say which tasks are meant. */
function addSelection(command: Command): Command {
  return addFilters(command.argument("[function]", "name of the function; default: all"));
}

function addFilters(command: Command): Command {
  return command
    .addOption(new Option("--status <status>", "only this status").choices(taskStatuses))
    .option("--since <time>", "accepted at or after this time, or so long ago (2h)", parseTime)
    .option("--until <time>", "accepted before this time", parseTime)
    .option("--prefix <text>", "only ids that begin so")
    .option("--tag <tag>", "only tasks with this tag")
    .addOption(new Option("--priority <priority>", "only this priority").choices(priorities));
}

function addPauses(program: Command, runner: Runner): void {
  const onTarget = (name: string, description: string, argument: string) =>
    addFilters(program.command(name).description(description).argument("[function]", argument))
      .option("--account [id]", "everything of the account, or of another one (for operators)")
      .option("--queue <queue>", "everything in a queue; for operators");
  onTarget("pause", "start nothing of a function, an account, a queue or a filter until it is resumed", "its name")
    .option("--reason <text>", "why, for people")
    .action((functionName: string | undefined, options: PauseOptions) =>
      runner.connected((context) => pause(context, functionName, options)),
    );
  onTarget("resume", "end a pause: what waited goes on", "name of the function, or id of the pause").action(
    (named: string | undefined, options: TargetOptions) =>
      runner.connected((context) => resume(context, named, options)),
  );
  program
    .command("pauses")
    .description("list what is paused")
    .action(() => runner.connected(pauses));
}

function addBatches(program: Command, runner: Runner): void {
  const tasks = program.command("tasks").description("stop or delete many tasks");
  for (const kind of ["stop", "delete"] as const) {
    const what =
      kind === "stop"
        ? "stop tasks that have not ended"
        : "delete tasks with their logs; those that run are stopped first";
    addSelection(tasks.command(kind).description(`${what}; those that were accepted before`))
      .option("--all", "every task of the account")
      .option("--async", "only start it, and write the operation")
      .option("--account <id>", "of another account; for operators")
      .option("--operation-id <id>", "start it only once, however often the command is run with this id")
      .action((functionName: string | undefined, options: BatchOptions) =>
        runner.connected((context) => batch(context, kind, functionName, options)),
      );
  }
}

function addOperations(program: Command, runner: Runner): void {
  const operations = program.command("operations").description("look after operations that stop or delete many tasks");
  operations
    .command("list", { isDefault: true })
    .description("list operations, newest first")
    .option("--limit <count>", "at most so many", parseCount, 20)
    .action((options: { limit: number }) => runner.connected((context) => listOperations(context, options.limit)));
  const onOperation = (
    name: string,
    description: string,
    action: (context: Context, id: string) => Promise<ExitCode>,
  ) =>
    operations
      .command(name)
      .description(description)
      .argument("<operation>", "its id")
      .action((id: string) => runner.connected((context) => action(context, id)));
  onOperation("get", "show how far an operation is", showOperation);
  onOperation("watch", "show how far an operation is until it has ended", watchOperation);
  onOperation("cancel", "end an operation early; what it has done stays done", cancelOperation);
}

function addFunctions(program: Command, runner: Runner): void {
  const functions = program.command("functions").description("list, show, change and delete functions");
  functions
    .command("list")
    .description("list functions by name")
    .option("--prefix <text>", "only names that begin so")
    .action((options) => runner.connected((context) => listFunctions(context, options)));
  functions
    .command("get")
    .description("show a function with its settings")
    .argument("<function>", "name of the function")
    .action((name: string) => runner.connected((context) => getFunction(context, name)));
  const set = addSettings(
    addFlowSettings(
      functions
        .command("set")
        .description("change limits and other settings of a function, without its code; what is not named stays")
        .argument("<function>", "name of the function"),
    ),
  );
  set.action((name: string, options: SettingOptions & FlowOptions) => {
    const settings = { ...flowSettingsOf(options), ...settingsOf(options) };
    if (Object.keys(settings).length === 0) set.error("error: name a setting to change, such as --concurrency 10");
    return runner.connected((context) => setFunction(context, name, settings));
  });
  functions
    .command("delete")
    .description("delete a function; its waiting tasks end as Invalid")
    .argument("<function>", "name of the function")
    .action((name: string) => runner.connected((context) => deleteFunction(context, name)));
}

function addCluster(program: Command, runner: Runner): void {
  const cluster = program.command("cluster").description("look after the cluster; for operators");
  cluster
    .command("status")
    .description("show who leads, how many are there, and what waits")
    .action(() => runner.connected(clusterStatus));
  cluster
    .command("members")
    .description("list the schedulers")
    .action(() => runner.connected(clusterMembers));
  cluster
    .command("partitions")
    .description("list the partitions with their owners, and what waits in them")
    .argument("[queue]", "name of the queue; default: all")
    .action((queue: string | undefined) => runner.connected((context) => clusterPartitions(context, queue)));
  cluster
    .command("agents")
    .description("list the agents")
    .action(() => runner.connected(clusterAgents));
  cluster
    .command("events")
    .description("list what was changed lately, and why")
    .option("--queue <queue>", "only changes of this queue")
    .option("--limit <n>", "the newest, up to 1000; default: 100", parseCount)
    .action((options: EventsOptions) => runner.connected((context) => clusterEvents(context, options)));
  const onPartition = (name: string, description: string, argument: string) =>
    cluster
      .command(name)
      .description(description)
      .addArgument(new Argument("<partition>", argument).argParser(parsePartition));
  onPartition("split", "split a partition into its two halves", "the partition, such as q0 or q0/01").action(
    (partition: PartitionName) => runner.connected((context) => splitPartition(context, partition)),
  );
  onPartition("merge", "merge two halves", "the partition that they become, such as q0 for q0/0 and q0/1").action(
    (partition: PartitionName) => runner.connected((context) => mergePartition(context, partition)),
  );
  onPartition("move", "give a partition to another scheduler, for an hour", "the partition, such as q0 or q0/01")
    .requiredOption("--to <scheduler>", "id of the scheduler")
    .action((partition: PartitionName, options: { to: string }) =>
      runner.connected((context) => movePartition(context, partition, options)),
    );
  const routes = cluster
    .command("routes")
    .description("list the functions that have a queue of their own")
    .action(() => runner.connected(listRoutes));
  const onFlow = (name: string, description: string) =>
    routes
      .command(name)
      .description(description)
      .addArgument(new Argument("<function>", "account and function, such as acme/train").argParser(parseFlow));
  onFlow("add", "give a function a queue of its own").action((flow: FlowName) =>
    runner.connected((context) => addRoute(context, flow)),
  );
  onFlow("remove", "take it away, once nothing is left in it").action((flow: FlowName) =>
    runner.connected((context) => removeRoute(context, flow)),
  );
}

function addAccounts(program: Command, runner: Runner): void {
  const accounts = program.command("accounts").description("limits of accounts; for operators");
  accounts
    .command("list")
    .description("list the accounts with their limits")
    .action(() => runner.connected(listAccounts));
  accounts
    .command("get")
    .description("show the limits of an account")
    .argument("<account>", "its id")
    .action((id: string) => runner.connected((context) => getAccount(context, id)));
  const set = accounts
    .command("set")
    .description("change the limits of an account, of all its functions together")
    .argument("<account>", "its id")
    .option("--concurrency <n>", "attempts at the same time in the whole cluster; 0: no limit", parseCount)
    .option("--rate <n>", "attempts that start per second; 0: no limit", parseNumber)
    .option("--burst <n>", "attempts that may start at once, where there is a rate; 0: those of one second", parseCount)
    .option("--weight <n>", "share among the accounts, 1 to 100", parseCount);
  set.action((id: string, options: AccountOptions) => {
    const { concurrency, rate, burst, weight } = options;
    const settings = {
      ...(concurrency !== undefined && { concurrencyMax: concurrency }),
      ...(rate !== undefined && { rateMax: rate }),
      ...(burst !== undefined && { rateBurst: burst }),
      ...(weight !== undefined && { weight }),
    };
    if (Object.keys(settings).length === 0) set.error("error: name a limit to change, such as --concurrency 10");
    return runner.connected((context) => setAccount(context, id, settings));
  });
}

interface AccountOptions {
  readonly concurrency?: number;
  readonly rate?: number;
  readonly burst?: number;
  readonly weight?: number;
}
