/**
 * One line of the map: its state, its thickness, and what it says in words.
 *
 * @module
 */
import { bytes, count, plural } from "../core/format.ts";
import type { Direction, EdgeRecord } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { ALERTS_WORDS, alertWords } from "./alerts.ts";

/** From the one that wants an eye first to the one that wants none. */
export const LINE_STATES = ["blocked", "unknown", "unenforced", "manual", "learned"] as const;
export type LineState = (typeof LINE_STATES)[number];

/** What the legend, the list and screen readers say. */
export const STATE_WORDS: Readonly<Record<LineState, { readonly name: string; readonly meaning: string }>> = {
  blocked: { name: "blocked", meaning: "the newest was dropped, or nothing ever got through" },
  unknown: { name: "unknown", meaning: "let through, but neither learned nor allowed by a rule" },
  unenforced: { name: "not enforceable", meaning: "the wall of an end is broken: there is a way around" },
  manual: { name: "allowed by hand", meaning: "a rule of the policy allows it" },
  learned: { name: "learned", meaning: "it is in the learned model" },
};

/** An edge of the API, with the ids of the nodes it joins and what the map makes of it. */
export interface RawLine {
  readonly record: EdgeRecord;
  readonly from: string;
  readonly to: string;
  readonly state: LineState;
  /** Its events of the last minutes that are no allowance. */
  readonly alerts: number;
}

/** What is drawn: one edge, or all between two ends that stand for several. */
export interface MapLine {
  /** Of its edge; or made from its ends when it stands for several. */
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly direction: Direction;
  /** The worst. */
  readonly state: LineState;
  /** The ids of its edges. */
  readonly edges: readonly string[];
  /** It stands for all between two ends, however many those are now. */
  readonly isMerged: boolean;
  /** The service, or host and port; empty when there are several. */
  readonly label: string;
  readonly count: number;
  readonly droppedCount: number;
  readonly failedCount: number;
  readonly bytes: number;
  readonly lastSeenMs: number;
  /** Per second, lately. */
  readonly rate: number;
  /** Events of the last minutes that are no allowance, also when what came after them was learned. */
  readonly alerts: number;
}

export function worst(states: Iterable<LineState>): LineState | undefined {
  const found = new Set(states);
  return LINE_STATES.find((state) => found.has(state));
}

/** @param isOpen Whether a group has a broken wall. */
export function stateOf(edge: EdgeRecord, isOpen: (group: string) => boolean): LineState {
  if (edge.state === "blocked" || (edge.count > 0 && edge.droppedCount >= edge.count)) return "blocked";
  if (edge.state === "unknown") return "unknown";
  return isOpen(edge.source) || isOpen(edge.destination) ? "unenforced" : edge.state;
}

/** What it goes to, in short: the service, or host and port. */
export function targetOf({ service, host, port }: EdgeRecord): string {
  if (service !== "") return service;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

export function lineOf({ record, from, to, state, alerts }: RawLine, rate: number): MapLine {
  const { id, direction, count, droppedCount, failedCount, inBytes, outBytes, lastSeenMs } = record;
  return {
    ...{ id, from, to, direction, state, count, droppedCount, failedCount, lastSeenMs, rate, alerts },
    edges: [id],
    isMerged: false,
    label: targetOf(record),
    bytes: inBytes + outBytes,
  };
}

/** @param lines At least one, all of the same ends. */
export function mergedLine(id: string, lines: readonly MapLine[]): MapLine {
  const first = lines[0]!;
  const labels = new Set(lines.map(({ label }) => label));
  const sum = (of: (line: MapLine) => number): number => lines.reduce((total, line) => total + of(line), 0);
  return {
    id,
    from: first.from,
    to: first.to,
    direction: first.direction,
    state: worst(lines.map(({ state }) => state)) ?? first.state,
    edges: lines.flatMap(({ edges }) => edges),
    isMerged: true,
    label: labels.size === 1 ? first.label : "",
    count: sum((line) => line.count),
    droppedCount: sum((line) => line.droppedCount),
    failedCount: sum((line) => line.failedCount),
    bytes: sum((line) => line.bytes),
    lastSeenMs: lines.reduce((newest, line) => Math.max(newest, line.lastSeenMs), 0),
    rate: sum((line) => line.rate),
    alerts: sum((line) => line.alerts),
  };
}

/** The thinnest and the thickest line, in pixels. */
const WIDTH_MIN = 1.25;
const WIDTH_MAX = 6;
/** What is unknown or blocked must be seen, however little of it there is. */
const WIDTH_STRANGE_MIN = 2.5;
/** Widths come in steps, so that small changes draw nothing anew. */
const WIDTH_STEP = 0.25;
/** At this rate, or this count, a line is at its thickest. */
const RATE_THICKEST = 1_000;
const COUNT_THICKEST = 1_000_000;

/**
 * How thick a line is, in pixels, on a logarithmic scale: by what goes over it now, else by what ever did. What is
 * quiet now is at most half as thick as it can be.
 */
export function widthOf({ rate, count, state }: Pick<MapLine, "rate" | "count" | "state">): number {
  const byCount = Math.log10(1 + Math.max(0, count)) / Math.log10(1 + COUNT_THICKEST) / 2;
  const byRate = Math.log10(1 + Math.max(0, rate)) / Math.log10(1 + RATE_THICKEST);
  const share = Math.min(1, Math.max(byRate, byCount));
  const width = Math.round((WIDTH_MIN + (WIDTH_MAX - WIDTH_MIN) * share) / WIDTH_STEP) * WIDTH_STEP;
  return isStrange(state) ? Math.max(width, WIDTH_STRANGE_MIN) : width;
}

/** Whether somebody should look at it. */
export function isStrange(state: LineState): boolean {
  return state === "unknown" || state === "blocked";
}

/** Whether it has a sign for its alerts: what is strange has one already. */
export function hasAlertSign({ state, alerts }: Pick<MapLine, "state" | "alerts">): boolean {
  return alerts > 0 && !isStrange(state);
}

/** The lower, the sooner somebody should look at it. */
export function needOf({ state, alerts }: Pick<MapLine, "state" | "alerts">): number {
  const need = LINE_STATES.indexOf(state);
  // Behind all that is strange now, and before all that is not.
  return hasAlertSign({ state, alerts }) ? LINE_STATES.indexOf("unknown") + 0.5 : need;
}

/** What a line is, for screen readers: nothing of it changes with every request. */
export function lineLabel(line: MapLine, fromName: string, toName: string): string {
  const alerts = line.alerts === 0 ? "" : `, with alerts in the ${ALERTS_WORDS}`;
  return `${endsWords(line, fromName, toName)}, ${stateWords(line)}, ${line.direction}${alerts}`;
}

/** What a line says, one thing a line of text. */
export function lineWords(line: MapLine, fromName: string, toName: string): string {
  const { direction, droppedCount, failedCount } = line;
  const calls = plural(line.count, "request or connection", "requests and connections");
  const dropped = droppedCount === 0 ? "" : `, ${count(droppedCount)} dropped`;
  const failed = failedCount === 0 ? "" : `, ${count(failedCount)} failed`;
  return [
    endsWords(line, fromName, toName),
    `${stateWords(line)}: ${STATE_WORDS[line.state].meaning}`,
    `${direction}, ${calls}${dropped}${failed}, ${bytes(line.bytes)}`,
    ...(line.alerts === 0 ? [] : [alertWords(line.alerts)]),
  ].join("\n");
}

function endsWords({ label, edges }: MapLine, fromName: string, toName: string): string {
  const what = edges.length === 1 ? visible(label) : plural(edges.length, "edge");
  return `${fromName} to ${toName}${what === "" || what === toName ? "" : `: ${what}`}`;
}

function stateWords({ state, edges }: MapLine): string {
  const { name } = STATE_WORDS[state];
  return edges.length === 1 ? name : `at worst ${name}`;
}
