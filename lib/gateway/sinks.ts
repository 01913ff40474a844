/**
 * Where events go besides the store: a file, a webhook, a syslog server.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { EventsSection } from "../config/firewall_config.ts";
import { ndjsonFileSink } from "../events/sinks/ndjson_file.ts";
import type { EventSink, SinkHooks } from "../events/sinks/sink.ts";
import { syslogSink } from "../events/sinks/syslog.ts";
import { webhookSink } from "../events/sinks/webhook.ts";
import type { Logger } from "../log.ts";

/** The firewall cannot be opened as it is configured. Ends the start; the message says what to do. */
export class FirewallFault extends Error {
  override name = "FirewallFault";
}

/** The shortest secret that signs: what is shorter can be guessed. */
export const WEBHOOK_SECRET_CHARS_MIN = 16;

/** Makes the sinks that are configured. Nothing is dialled or opened before the first event. */
export function openSinks(events: EventsSection, log: Logger): EventSink[] {
  const hooks: SinkHooks = {
    onFault: (sink, reason) => log.error("events cannot be sent", { sink, reason }),
    onHealed: (sink) => log.info("events are sent again", { sink }),
  };
  const { file, webhook, webhookSecretFile, syslog } = events;
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
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
    throw new FirewallFault(`Cannot read ${path}: ${code}, check --events-webhook-secret-file`);
  }
  if (text.length >= WEBHOOK_SECRET_CHARS_MIN) return text;
  throw new FirewallFault(
    `Cannot use ${path}: the secret has under ${WEBHOOK_SECRET_CHARS_MIN} characters, write a longer one`,
  );
}
