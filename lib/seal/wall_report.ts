/**
 * What an audit of the wall says, in three forms: a table for people, JSON for scripts, fields for the gateway.
 *
 * What goes to the gateway is a claim: whoever holds the agent can claim anything. The gateway reads it strictly and
 * shows it; a claim that contradicts itself is none.
 *
 * @module
 */
import { printable } from "../printable.ts";
import {
  type AuditOptions,
  auditWall,
  DENO_FAULT,
  type Listener,
  type WallReport,
  type WallState,
} from "./wall.ts";

/** Exposed sockets that are named to the gateway. */
export const CLAIM_EXPOSED_MAX = 16;
/** Faults that are named to the gateway. */
export const CLAIM_FAULTS_MAX = 4;
/** The longest value of a field. */
export const CLAIM_VALUE_BYTES_MAX = 255;
/** A narrower terminal gets lines of this length all the same. */
const COLUMNS_MIN = 20;

const STATES: readonly WallState[] = ["whole", "broken", "unknown"];

/** What an agent claims of its wall. */
export interface WallClaim {
  readonly state: WallState;
  /** How many sockets listen, on loopback or not. */
  readonly listeners: number;
  /** Sockets that can be reached from outside, such as `tcp 0.0.0.0:8080 nginx(12)`; at most 16, there may be more. */
  readonly exposed: readonly string[];
  /** What could not be read; at most 4, there may be more. */
  readonly faults: readonly string[];
}

/**
 * The report for a terminal: the verdict in one line, what to do, then a line for each socket.
 *
 * @param columns How wide the terminal is; rows of the table are cut to it. @default they are not cut
 * @returns Lines that each end in a line feed, and hold no other control character.
 */
export function wallTable(report: WallReport, columns: number = Infinity): string {
  const lines = [`wall: ${report.state} – ${verdict(report)}`, ...advice(report)];
  if (report.faults.length > 0) lines.push("", ...report.faults.map((each) => `  ${printable(each)}`));
  if (report.listeners.length > 0) lines.push("", ...rows(report, Math.max(columns, COLUMNS_MIN)));
  const unnamed = report.listenersTotal - report.listeners.length;
  if (unnamed > 0) lines.push(`… and ${unnamed} more`);
  return lines.map((line) => `${line}\n`).join("");
}

/** The report as JSON with stable keys, indented, with a line feed at its end. */
export function wallJson(report: WallReport): string {
  const { state, listenersTotal, exposedTotal, faults } = report;
  const listeners = report.listeners.map(({ protocol, address, port, reach, inode, uid, owner }) => {
    const { kind } = owner;
    const named = owner.kind === "process" ? { kind, pid: owner.pid, name: owner.name } : { kind };
    return { protocol, address, port, reach, inode, uid, owner: named };
  });
  return `${JSON.stringify({ state, listenersTotal, exposedTotal, listeners, faults }, undefined, 2)}\n`;
}

/**
 * The report as flat names and values for the link: `wall` (state), `listeners` (count), `exposed` and `fault`.
 *
 * Values are printable ASCII of at most 255 bytes; what is longer is cut.
 */
export function wallFields(report: WallReport): string[] {
  const exposed = report.listeners.filter(({ reach }) => reach === "outside").slice(0, CLAIM_EXPOSED_MAX);
  const faults = report.faults.slice(0, CLAIM_FAULTS_MAX);
  return [
    ...["wall", report.state, "listeners", String(report.listenersTotal)],
    ...exposed.flatMap((each) => {
      return ["exposed", claimValue(`${each.protocol} ${endpoint(each)} ${ownerText(each)}`)];
    }),
    ...faults.flatMap((each) => ["fault", claimValue(each)]),
  ];
}

/**
 * Reads what an agent claims.
 *
 * @param fields Flat names and values, from a stranger. Unknown names are ignored.
 * @returns `undefined` when there is no claim or it cannot be one: a name that is missing or given twice, a value that
 *   is too long or not printable ASCII, too many of them, or a state that its own sockets or faults contradict.
 */
export function parseWallFields(fields: readonly string[]): WallClaim | undefined {
  if (fields.length % 2 !== 0) return undefined;
  const values: Record<"wall" | "listeners" | "exposed" | "fault", string[]> = {
    wall: [],
    listeners: [],
    exposed: [],
    fault: [],
  };
  for (let at = 0; at < fields.length; at += 2) {
    const [name = "", value = ""] = [fields[at], fields[at + 1]];
    if (name !== "wall" && name !== "listeners" && name !== "exposed" && name !== "fault") continue;
    if (!/^[\x20-\x7e]{1,255}$/.test(value)) return undefined;
    if (values[name].length === CLAIM_EXPOSED_MAX) return undefined;
    values[name].push(value);
  }
  const { wall: [wall], listeners: [count = ""], exposed, fault: faults } = values;
  const state = STATES.find((each) => each === wall);
  if (state === undefined || values.wall.length !== 1 || values.listeners.length !== 1) return undefined;
  if (!/^(?:0|[1-9]\d{0,8})$/.test(count) || faults.length > CLAIM_FAULTS_MAX) return undefined;
  const listeners = Number(count);
  const implied = exposed.length > 0 ? "broken" : faults.length > 0 ? "unknown" : "whole";
  if (implied !== state || listeners < exposed.length) return undefined;
  return { state, listeners, exposed, faults };
}

/**
 * Audits the wall and writes the report: the work of `netwall-agent audit`.
 *
 * @returns Whether the wall is whole; when it is broken or unknown, the command fails.
 */
export async function runAudit(
  options: AuditOptions & {
    /** JSON instead of the table. */
    readonly json: boolean;
    /** Takes the whole report at once. */
    readonly write: (text: string) => void;
    /** The width of the terminal, for the table. @default rows are not cut */
    readonly columns?: number;
  },
): Promise<boolean> {
  const report = await auditWall(options);
  options.write(options.json ? wallJson(report) : wallTable(report, options.columns));
  return report.state === "whole";
}

function verdict(report: WallReport): string {
  if (report.state === "broken") return `${sockets(report.exposedTotal)} can be reached from outside`;
  if (report.state === "unknown") {
    return report.faults.length === 1
      ? "one thing could not be read"
      : `${report.faults.length} things could not be read`;
  }
  const beyond = beyondLoopback(report);
  return beyond === 0
    ? "nothing listens beyond loopback"
    : `${sockets(beyond)} beyond loopback, but no network to reach ${beyond === 1 ? "it" : "them"} by`;
}

function advice(report: WallReport): string[] {
  const lines: string[] = [];
  if (report.state === "broken") {
    lines.push("Bind each of them to 127.0.0.1 or stop it: what it takes does not pass the gateway");
  } else if (beyondLoopback(report) > 0) {
    lines.push(
      "No interface but lo is up; bind to 127.0.0.1 all the same, in case there is a network one day",
    );
  }
  if (report.faults[0] === DENO_FAULT) {
    lines.push("Start the audit with deno run --allow-all, or on Bun: nothing less can read /proc");
  } else if (report.faults.length > 0) {
    lines.push("Run the audit on Linux, in the container itself, where its /proc can be read");
  }
  return lines;
}

/** Sockets named in the report that only the lack of a network protects. Those come first, so few are missed. */
function beyondLoopback(report: WallReport): number {
  return report.listeners.filter(({ reach }) => reach === "no-network").length;
}

function sockets(count: number): string {
  return count === 1 ? "1 socket" : `${count} sockets`;
}

function rows(report: WallReport, columns: number): string[] {
  const cells = [
    ["PROTOCOL", "ADDRESS", "REACH", "OWNER"],
    ...report.listeners.map((each) => [each.protocol, endpoint(each), each.reach, ownerText(each)]),
  ];
  const widths = [0, 1, 2, 3].map((at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  return cells.map((row) => {
    const line = row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ").trimEnd();
    return line.length > columns ? `${line.slice(0, columns - 1)}…` : line;
  });
}

/** As in a URL; of a raw socket the number is that of its IP protocol. */
function endpoint(listener: Listener): string {
  const { address, port } = listener;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function ownerText(listener: Listener): string {
  const { owner, uid } = listener;
  if (owner.kind === "agent") return "this agent";
  return owner.kind === "process" ? `${printable(owner.name)}(${owner.pid})` : `unknown, of user ${uid}`;
}

/** Escapes what is not printable ASCII, and cuts. */
function claimValue(text: string): string {
  const ascii = text.replace(/[^\x20-\x7e]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return ascii.slice(0, CLAIM_VALUE_BYTES_MAX);
}
