/**
 * What the page knows of the gateway: kept up to date by the live stream, and by asking again for what has no stream.
 *
 * Views read the signals; nobody but lib/page/core/live.ts writes them.
 *
 * @module
 */
import { computed, signal } from "@preact/signals";
import type { GoneLink } from "./gone.ts";
import type { EdgeRecord, GroupView, Link, NetwallEvent, Status } from "./types.ts";

/** Events that are kept in the page, the newest; older ones are read from the API. */
export const EVENTS_KEPT_MAX = 1_000;

export const status = signal<Status | undefined>(undefined);
export const groups = signal<readonly GroupView[]>([]);
export const links = signal<readonly Link[]>([]);
/** Agents that were linked since the page was opened, and are not any more. */
export const goneLinks = signal<readonly GoneLink[]>([]);
/** By id. A new map for each change. */
export const edges = signal<ReadonlyMap<string, EdgeRecord>>(new Map());
/** Requests and connections per second of each edge that moved lately. */
export const rates = signal<ReadonlyMap<string, number>>(new Map());
/** The newest events by id, in the order in which they changed: the last is the newest. */
export const events = signal<ReadonlyMap<string, NetwallEvent>>(new Map());
/** The version of the policy in force; 0 until it is known. */
export const policyVersion = signal(0);
/** Whether all of the above has been read once. */
export const isLoaded = signal(false);
/** What could not be read, in words; empty when all is well. */
export const fault = signal("");

/** `connecting` only before the first time. */
export type Liveness =
  | { readonly state: "connecting" | "live" }
  | { readonly state: "lost"; readonly sinceMs: number; readonly reason: string };
export const liveness = signal<Liveness>({ state: "connecting" });

/** The time, each second: for what is told as an age. */
export const nowMs = signal(Date.now());

export const groupById = computed(() => new Map(groups.value.map((group) => [group.id, group])));
export const linksByGroup = computed(() => Map.groupBy(links.value, ({ group }) => group));

/** Everything as it was before anybody logged in. */
export function forget(): void {
  status.value = undefined;
  groups.value = [];
  links.value = [];
  goneLinks.value = [];
  edges.value = new Map();
  rates.value = new Map();
  events.value = new Map();
  policyVersion.value = 0;
  isLoaded.value = false;
  fault.value = "";
  liveness.value = { state: "connecting" };
}
