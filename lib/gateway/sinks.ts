/**
 * Where events go besides the store: a file, a webhook, a syslog server.
 *
 * @module
 */
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { EventsSection } from "../config/firewall_config.ts";
import { ndjsonFileSink } from "../events/sinks/ndjson_file.ts";
import type { EventSink, SinkHooks } from "../events/sinks/sink.ts";
import { syslogSink } from "../events/sinks/syslog.ts";
import { webhookSink } from "../events/sinks/webhook.ts";
import type { Logger } from "../log.ts";
import { printable } from "../printable.ts";

/** The firewall cannot be opened as it is configured. Ends the start; the message says what to do. */
export class FirewallFault extends Error {
  override name = "FirewallFault";
}

/** The shortest secret that signs: what is shorter can be guessed. */
export const WEBHOOK_SECRET_CHARS_MIN = 16;

/**
 * Makes the sinks that are configured. Nothing is dialled or opened before the first event.
 *
 * @throws {FirewallFault} The file could not be made or written, or the secret cannot be used.
 */
export function openSinks(events: EventsSection, log: Logger): EventSink[] {
  const hooks: SinkHooks = {
    onFault: (sink, reason) => log.error("events cannot be sent", { sink, reason }),
    onHealed: (sink) => log.info("events are sent again", { sink }),
  };
  const { file, webhook, webhookSecretFile, syslog } = events;
  if (file !== undefined) checkFile(file);
  return [
    ...(file === undefined ? [] : [ndjsonFileSink({ path: file, ...hooks })]),
    ...(webhook === undefined ? [] : [webhookSink({
      url: webhook,
      ...(webhookSecretFile === undefined ? {} : { secret: secretIn(webhookSecretFile) }),
      ...hooks,
    })]),
    ...(syslog === undefined ? [] : [syslogSink({ address: syslog, ...hooks })]),
  ];
}

/** @throws {FirewallFault} It cannot be read or is too short: the gateway must not start without signing. */
function secretIn(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new FirewallFault(
      `Cannot read ${printable(path)}: ${reasonOf(error)}, check --events-webhook-secret-file`,
    );
  }
  if (text.length >= WEBHOOK_SECRET_CHARS_MIN) return text;
  throw new FirewallFault(
    `Cannot use ${
      printable(path)
    }: the secret has under ${WEBHOOK_SECRET_CHARS_MIN} characters, write a longer one`,
  );
}

/** At the first event, when it is opened, it may be night. It can be made by then: only what it needs is looked at. */
function checkFile(path: string): void {
  const refuse = (what: string, reason: string, cure: string): FirewallFault =>
    new FirewallFault(`Cannot write events to ${printable(path)}: ${what} ${reason}, ${cure}`);
  const folder = dirname(path);
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found !== undefined) {
      if (!found.isFile()) throw refuse("it", "is no regular file", "name one with --events-file");
      return accessSync(path, constants.W_OK | constants.R_OK);
    }
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    if (error instanceof FirewallFault) throw error;
    const what = isThere(path) ? "the file:" : `the folder ${printable(folder)}:`;
    throw refuse(
      what,
      reasonOf(error),
      "make it, let this user write there, or name another with --events-file",
    );
  }
}

function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
  const known: Readonly<Record<string, string>> = {
    ENOENT: "there is no such file or directory",
    ENOTDIR: "a part of the path is no directory",
    EACCES: "this user may not open it",
    EPERM: "this user may not open it",
    EROFS: "the file system is read-only",
    EISDIR: "it is a directory",
  };
  return known[code] ?? code;
}
