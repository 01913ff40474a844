/**
 * What the map says of one workload: its mode, how far it has learned, its wall and its links, each in a word.
 *
 * What an agent claims of itself is shown as it came, never believed.
 *
 * @module
 */
import { duration, plural } from "../core/format.ts";
import type { Direction, GroupView, Link, Mode } from "../core/types.ts";
import { visible } from "../core/visible.ts";

/** `none`: nothing was learned from yet. */
export type LearningState = "none" | "learning" | "stable" | "active" | "saturated";
export type WallState = Link["wall"]["state"];

export interface WorkloadFacts {
  /** NAMESPACE/IMAGE. */
  readonly group: string;
  readonly namespace: string;
  readonly image: string;
  readonly services: readonly string[];
  /** Linked now; none means that the workload is gone. */
  readonly agents: number;
  readonly streams: number;
  /** Of the slowest link, to two digits; `undefined` while nothing is linked. */
  readonly roundTripMs: number | undefined;
  /** The strictest of its directions; `undefined` of a group that is known by its traffic alone. */
  readonly mode: Mode | undefined;
  /** Its directions differ. */
  readonly isMixed: boolean;
  readonly learning: LearningState;
  /** What a model still wants before it is stable, over all directions that learn. */
  readonly wants: number;
  /** The worst of its agents. */
  readonly wall: WallState;
  /** All of the above in sentences, one a line, for a title and for screen readers. */
  readonly words: string;
  /** What a search looks in, in lower case. */
  readonly text: string;
}

const DIRECTIONS: readonly Direction[] = ["north-south", "east-west", "egress"];
const MODES: readonly Mode[] = ["learn", "alert", "prevent"];
/** Those that want an eye first. */
const LEARNING_STATES: readonly LearningState[] = ["saturated", "learning", "stable", "active"];
/** Words for a title: of more the rest is counted. */
const LISTED_MAX = 5;

/** @param view `undefined` of a group that is known by its traffic alone. */
export function factsOf(group: string, view: GroupView | undefined, links: readonly Link[]): WorkloadFacts {
  const at = group.indexOf("/");
  const namespace = view?.namespace ?? group.slice(0, Math.max(0, at));
  const image = view?.image ?? group.slice(at + 1);
  const modes = view === undefined ? [] : DIRECTIONS.map((direction) => view.modes[direction].mode);
  const { state: learning, wants, words: learningWords } = learningOf(view);
  const wall = wallOf(links);
  const services = [...new Set([...view?.services ?? [], ...links.flatMap((link) => link.services)])].sort();
  const roundTripMs = links.length === 0
    ? undefined
    : twoDigits(Math.max(...links.map((l) => l.roundTripMs)));
  return {
    ...{ group, namespace, image, services, learning, wants, roundTripMs, wall },
    agents: links.length,
    streams: links.reduce((sum, link) => sum + link.streams, 0),
    mode: strictest(modes),
    isMixed: new Set(modes).size > 1,
    words: [
      `${visible(image)} in ${namespace === "" ? "no namespace" : visible(namespace)}`,
      services.length === 0 ? "serves nothing" : `serves ${listed(services)}`,
      modeWords(view),
      learningWords,
      wallWords(wall, links),
      linkWords(links, roundTripMs),
    ].join("\n"),
    text: textOf(group, services, links),
  };
}

/** The strictest of some modes; `undefined` of none. */
export function strictest(modes: readonly Mode[]): Mode | undefined {
  return modes.length === 0 ? undefined : MODES[Math.max(...modes.map((mode) => MODES.indexOf(mode)))];
}

/** A few names, and how many more there are. */
export function listed(names: readonly string[]): string {
  const more = names.length - LISTED_MAX;
  const shown = names.slice(0, LISTED_MAX).map(visible).join(", ");
  return more > 0 ? `${shown} and ${more} more` : shown;
}

function textOf(group: string, services: readonly string[], links: readonly Link[]): string {
  const claimed = links.flatMap((link) => [link.agent, link.image, ...Object.values(link.claimed)]);
  return [group, ...services, ...claimed].join("\n").toLowerCase();
}

function modeWords(view: GroupView | undefined): string {
  if (view === undefined) return "mode unknown: no agent of it was seen since the gateway started";
  const modes = DIRECTIONS.map((direction) => view.modes[direction].mode);
  if (new Set(modes).size === 1) return `mode ${modes[0]}`;
  return `modes differ, the strictest is ${strictest(modes)}: ${
    DIRECTIONS.map((direction, index) => `${modes[index]} for ${direction}`).join(", ")
  }`;
}

/** A direction without a single sample says nothing: few workloads have traffic in all three. */
function learningOf(
  view: GroupView | undefined,
): { state: LearningState; wants: number; words: string } {
  const seen = (view?.learning ?? []).filter(({ samples, state }) => samples > 0 || state !== "learning");
  const state = LEARNING_STATES.find((candidate) => seen.some((progress) => progress.state === candidate));
  if (state === undefined) return { state: "none", wants: 0, words: "nothing was learned from yet" };
  const open = seen.filter((progress) => progress.state === "learning" || progress.state === "saturated");
  return {
    state,
    wants: open.reduce((sum, { reasons }) => sum + reasons.length, 0),
    words: seen.map(({ direction, state, reasons }) =>
      `${direction} model ${state}${reasons.length === 0 ? "" : `: ${visible(reasons.join("; "))}`}`
    ).join("\n"),
  };
}

function wallOf(links: readonly Link[]): WallState {
  const states = links.map(({ wall }) => wall.state);
  if (states.includes("broken")) return "broken";
  return states.length > 0 && states.every((state) => state === "whole") ? "whole" : "unknown";
}

function wallWords(wall: WallState, links: readonly Link[]): string {
  if (links.length === 0) return "wall unknown: no agent is linked";
  if (wall === "whole") return "wall whole: nothing else listens";
  const claims = links.map((link) => link.wall).filter(({ state }) => state === wall);
  const why = [...new Set(claims.flatMap(({ exposed, faults }) => wall === "broken" ? exposed : faults))];
  if (wall === "unknown") return `wall unknown${why.length === 0 ? "" : `: ${listed(why)}`}`;
  return `wall broken: ${why.length === 0 ? "something else listens" : `${listed(why)} listens`}`;
}

function linkWords(links: readonly Link[], roundTripMs: number | undefined): string {
  if (roundTripMs === undefined) return "no agent is linked";
  const leaving = links.filter((link) => link.leaving).length;
  const slowest = links.length === 1 ? "round trip" : "slowest round trip";
  return `${plural(links.length, "agent")} linked, ${slowest} ${duration(roundTripMs)}` +
    (leaving === 0 ? "" : `, ${leaving} leaving`);
}

/** A round trip that only trembles is the same, and nothing is drawn anew for it. */
function twoDigits(value: number): number {
  return Number(value.toPrecision(2));
}
