// Texts for people, and how user data is made harmless.
import type { Task, TaskStatus } from "@sluice/client";

export type Style = "bold" | "green" | "red" | "yellow" | "cyan";
const codes: Readonly<Record<Style, number>> = { bold: 1, green: 32, red: 31, yellow: 33, cyan: 36 };

export function colored(text: string, style: Style): string {
  return `\u001b[${codes[style]}m${text}\u001b[0m`;
}

export function statusStyle(status: TaskStatus | "Dequeued"): Style | undefined {
  if (status === "Succeeded") return "green";
  if (status === "Failed" || status === "Invalid") return "red";
  if (status === "Running") return "cyan";
  return status === "Retrying" || status === "Stopping" || status === "Expired" ? "yellow" : undefined;
}

/** C0, DEL, C1, line and paragraph separators, and what changes the direction of text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is for.
const unsafe = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** User data on one line of a terminal: nothing in it can move the cursor, change colours or hide text. */
export function printable(text: string): string {
  return text.replace(unsafe, escapeCharacter);
}

/** The same, but lines stay lines. */
export function printableLines(text: string): string {
  return text.replace(unsafe, (character) => (/[\n\t]/.test(character) ? character : escapeCharacter(character)));
}

function escapeCharacter(character: string): string {
  const named = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[character];
  const code = character.charCodeAt(0);
  return (
    named ?? (code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`)
  );
}

/** Such as `2026-11-21 02:30:00Z`; `-` for no time. */
export function formatTime(ms: number | undefined): string {
  return ms === undefined ? "-" : `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")}Z`;
}

/** Such as `850 ms`, `12.5 s`, `3 min 20 s`, `5 h 10 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}

/** Such as `512 B`, `1.5 KiB`, `3.2 MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  return bytes < 1_048_576 ? `${(bytes / 1_024).toFixed(1)} KiB` : `${(bytes / 1_048_576).toFixed(1)} MiB`;
}

/** Bytes as a person reads them: text, or their number if they are none. */
export function formatData(bytes: Uint8Array): string {
  return decodeUtf8(bytes) ?? `(${formatBytes(bytes.length)} that are not UTF-8)`;
}

/** A task as programs read it. */
export function taskJson(task: Task): Record<string, unknown> {
  const { payload, result, ...rest } = task;
  return { ...rest, ...dataJson("payload", payload), ...dataJson("result", result) };
}

/** Bytes in JSON: `name` as text if they are UTF-8, else `nameBase64`; nothing if there are none. */
export function dataJson(name: string, bytes: Uint8Array): Record<string, string> {
  if (bytes.length === 0) return {};
  const text = decodeUtf8(bytes);
  return text === undefined ? { [`${name}Base64`]: Buffer.from(bytes).toString("base64") } : { [name]: text };
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
