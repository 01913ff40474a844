/**
 * What the map shows, as it stands in the address: a view of it can be sent to a colleague.
 *
 * Whatever is wrong in an address is as if it were not there.
 *
 * @module
 */
import type { Direction } from "../core/types.ts";
import { LINE_STATES, type LineState } from "./line.ts";

export const DIRECTIONS: readonly Direction[] = ["north-south", "east-west", "egress"];

/** Choices of the quiet filter, in minutes. 0 shows all. */
export const QUIET_MINUTES: readonly number[] = [0, 5, 15, 60, 1_440];

/** `auto`: namespaces are collapsed when there are many workloads. */
export type Fold = "auto" | "all" | "none";

export interface MapFilters {
  readonly search: string;
  readonly directions: ReadonlySet<Direction>;
  readonly states: ReadonlySet<LineState>;
  /** What was not seen for this long is hidden; 0 hides nothing. */
  readonly quietMinutes: number;
  /** The id of the node whose neighbours alone are shown; empty for all. */
  readonly focus: string;
  readonly fold: Fold;
  /** Namespaces that are open or shut whatever `fold` says. */
  readonly opened: ReadonlySet<string>;
  readonly shut: ReadonlySet<string>;
}

export const NO_FILTERS: MapFilters = {
  search: "",
  directions: new Set(DIRECTIONS),
  states: new Set(LINE_STATES),
  quietMinutes: 0,
  focus: "",
  fold: "auto",
  opened: new Set(),
  shut: new Set(),
};

/** Longer than any name that can be searched for. */
export const SEARCH_CHARS_MAX = 256;
/** An id of a group with what stands in front of it. */
const NODE_ID_CHARS_MAX = 1_100;
const NAMESPACES_MAX = 200;

export function parseFilters(params: URLSearchParams): MapFilters {
  const quiet = Number(params.get("quiet") ?? "0");
  const fold = params.get("fold");
  const focus = params.get("focus") ?? "";
  return {
    search: (params.get("q") ?? "").slice(0, SEARCH_CHARS_MAX),
    directions: subset(params.get("directions"), DIRECTIONS),
    states: subset(params.get("states"), LINE_STATES),
    quietMinutes: QUIET_MINUTES.includes(quiet) ? quiet : 0,
    focus: focus.length <= NODE_ID_CHARS_MAX ? focus : "",
    fold: fold === "all" || fold === "none" ? fold : "auto",
    opened: names(params.get("open")),
    shut: names(params.get("shut")),
  };
}

/** What to set in the address, for all or for a part of the filters; `undefined` takes it out. */
export function paramsOf(filters: Partial<MapFilters>): Record<string, string | undefined> {
  const params: Record<string, string | undefined> = {};
  const { search, directions, states, quietMinutes, focus, fold, opened, shut } = filters;
  if (search !== undefined) params["q"] = search.slice(0, SEARCH_CHARS_MAX) || undefined;
  if (directions !== undefined) params["directions"] = unlessAll(directions, DIRECTIONS);
  if (states !== undefined) params["states"] = unlessAll(states, LINE_STATES);
  if (quietMinutes !== undefined) params["quiet"] = quietMinutes === 0 ? undefined : String(quietMinutes);
  if (focus !== undefined) params["focus"] = focus || undefined;
  if (fold !== undefined) params["fold"] = fold === "auto" ? undefined : fold;
  if (opened !== undefined) params["open"] = [...opened].sort().join(",") || undefined;
  if (shut !== undefined) params["shut"] = [...shut].sort().join(",") || undefined;
  return params;
}

/** Whether anything is taken out of the map. What is collapsed is still there. */
export function isNarrowed(filters: MapFilters): boolean {
  return filters.search.trim() !== "" || filters.focus !== "" || filters.quietMinutes > 0 ||
    filters.directions.size < DIRECTIONS.length || filters.states.size < LINE_STATES.length;
}

/** With one namespace opened or shut. */
export function folded(filters: MapFilters, namespace: string, isShut: boolean): Partial<MapFilters> {
  const [opened, shut] = [new Set(filters.opened), new Set(filters.shut)];
  opened.delete(namespace);
  shut.delete(namespace);
  (isShut ? shut : opened).add(namespace);
  return { opened, shut };
}

/** With one value more or less. */
export function toggled<T>(values: ReadonlySet<T>, value: T): ReadonlySet<T> {
  const next = new Set(values);
  if (!next.delete(value)) next.add(value);
  return next;
}

/** An empty set is written as `none`, as nothing stands for all. */
function unlessAll<T extends string>(values: ReadonlySet<T>, all: readonly T[]): string | undefined {
  if (all.every((value) => values.has(value))) return undefined;
  return all.filter((value) => values.has(value)).join(",") || "none";
}

function subset<T extends string>(text: string | null, all: readonly T[]): ReadonlySet<T> {
  if (text === null) return new Set(all);
  if (text === "none") return new Set();
  const given = text.split(",");
  const found = all.filter((value) => given.includes(value));
  return new Set(found.length === 0 ? all : found);
}

function names(text: string | null): ReadonlySet<string> {
  return new Set((text ?? "").split(",").filter((name) => name !== "").slice(0, NAMESPACES_MAX));
}
