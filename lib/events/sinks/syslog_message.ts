/**
 * An event as a syslog message: a head, its fields as structured data, and one sentence.
 *
 * What does not fit is left out from the end: first the end of the sentence, then the least important fields. So a
 * cut message is still a whole one, and a receiver can read it.
 *
 * Source: RFC 5424 §6; the enterprise number 32473 is that of RFC 5612, for examples, as netwall has none of its own.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { printable } from "../../printable.ts";
import type { EventEnd, NetwallEvent } from "../event.ts";

/** What a receiver of datagrams is asked to take, RFC 5426 §3.2. */
export const DATAGRAM_BYTES_MAX = 2_048;
/** What a receiver on TLS is asked to take, RFC 5425 §4.3.1; also the usual bound of rsyslog on TCP. */
export const MESSAGE_BYTES_MAX = 8_192;
/** What the sentence keeps when the fields are many. */
const SENTENCE_BYTES_MIN = 128;

const SD_ID = "netwall@32473";
const APP_NAME = "netwall-gateway";
/** local0: no facility of RFC 5424 is for firewalls. */
const FACILITY = 16;
const SEVERITY: Readonly<Record<NetwallEvent["severity"], number>> = { critical: 2, warning: 4, info: 6 };

/** Who sends. */
export interface SyslogOrigin {
  readonly hostname: string;
  readonly processId: number;
}

/**
 * One message, without framing.
 *
 * @param bytesMax At least 512: the head and the sentence always fit.
 * @throws {RangeError} The time of the event is none.
 */
export function syslogMessage(event: NetwallEvent, origin: SyslogOrigin, bytesMax: number): Uint8Array {
  const time = new Date(event.time).toISOString();
  const words = [time, word(origin.hostname, 255), APP_NAME, String(origin.processId), word(event.type, 32)];
  const head = `<${FACILITY * 8 + SEVERITY[event.severity]}>1 ${words.join(" ")} [${SD_ID}`;
  const sentence = printable(event.message);
  // RFC 5424 §6.4: text beyond ASCII begins with a byte order mark.
  // deno-lint-ignore no-control-regex
  const mark = /^[\x00-\x7f]*$/.test(sentence) ? "" : "\ufeff";
  const message = Buffer.from(` ${mark}`.slice(0, sentence === "" ? 0 : undefined) + sentence);
  let left = bytesMax - Buffer.byteLength(head) - 1 - Math.min(message.length, SENTENCE_BYTES_MIN);
  let fields = "";
  for (const [name, value] of fieldsOf(event)) {
    if (value === undefined || value === "") continue;
    const field = ` ${name}="${escaped(String(value))}"`;
    left -= Buffer.byteLength(field);
    if (left < 0) break;
    fields += field;
  }
  const start = Buffer.from(`${head}${fields}]`);
  return Buffer.concat([start, message.subarray(0, wholeCharacters(message, bytesMax - start.length))]);
}

/** How many of the first `bytesMax` bytes are whole characters. */
function wholeCharacters(bytes: Uint8Array, bytesMax: number): number {
  if (bytes.length <= bytesMax) return bytes.length;
  let end = bytesMax;
  // A byte 10xxxxxx goes on with a character.
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return end;
}

/** A word of the head: what is not printable ASCII is left out, and what is empty is a hyphen. */
function word(text: string, charsMax: number): string {
  return text.replace(/[^\x21-\x7e]/g, "").slice(0, charsMax) || "-";
}

/** RFC 5424 §6.3.3: three characters are escaped. Controls are made visible first, as many readers end a line at one. */
function escaped(value: string): string {
  return printable(value).replace(/["\\\]]/g, (character) => `\\${character}`);
}

type Field = readonly [name: string, value: string | number | undefined];

/** The most important first. */
function fieldsOf(event: NetwallEvent): Field[] {
  const { rule, http, deviation } = event;
  return [
    ["id", event.id],
    ["effect", event.effect],
    ["verdict", event.verdict],
    ["severity", event.severity],
    ["count", event.count],
    ["direction", event.direction],
    ["protocol", event.protocol],
    ["mode", event.mode],
    ["ruleKind", rule.kind],
    ["ruleId", rule.id],
    ["ruleIndex", rule.index],
    ...endFields("source", event.source),
    ...endFields("destination", event.destination),
    ["method", http?.method],
    ["status", http?.status],
    ["requestId", http?.requestId],
    ["host", http?.host],
    ["path", http?.path],
    ["route", http?.route],
    ["deviation", deviation?.kind],
    ["observed", deviation?.observed],
    ["pendingVerdict", event.pendingVerdict],
    ["pendingRuleKind", event.pendingRule?.kind],
    ["pendingRuleId", event.pendingRule?.id],
    ["firstTime", new Date(event.firstTime).toISOString()],
    ["seq", event.seq],
    ["policyVersion", event.policyVersion],
    ["contentType", http?.contentType],
    ["userAgent", http?.userAgent],
    ["expected", deviation?.expected],
  ];
}

function endFields(side: "source" | "destination", end: EventEnd | undefined): Field[] {
  if (end === undefined) return [];
  return [
    [`${side}Kind`, end.kind],
    [side, end.name],
    [`${side}Service`, end.service],
    [`${side}Ip`, end.ip],
    [`${side}Host`, end.host],
    [`${side}Port`, end.port],
    [`${side}Namespace`, end.namespace],
    [`${side}Image`, end.image],
    [`${side}Agent`, end.agent],
    [`${side}ClaimedContainerId`, end.claimedContainerId],
    [`${side}ClaimedContainerName`, end.claimedContainerName],
    [`${side}ClaimedHostname`, end.claimedHostname],
  ];
}
