/**
 * The feed of the events view: read from the API for the filters that are chosen, and kept up to date by what is live.
 *
 * @module
 */
import { useEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { ask, messageOf } from "../core/api.ts";
import { events, liveness, nowMs } from "../core/state.ts";
import type { NetwallEvent } from "../core/types.ts";
import { EventFeed, type EventPage } from "./feed.ts";
import { type EventFilters, queryOf } from "./filters.ts";
import { matches } from "./match.ts";

/** Events of one page of the API. */
const PAGE = 200;
/** Typing in a field asks once, when it pauses. */
const TYPING_MS = 250;
/** A flood that outruns the page makes it read anew no more often than that. */
const RESTART_MS_MIN = 5_000;

/** In a flood the table is drawn anew no more often than that. */
const LIVE_MS_MIN = 500;

export interface FeedView {
  readonly rows: readonly NetwallEvent[];
  /** Whether the first page has come. */
  readonly isRead: boolean;
  readonly isLoading: boolean;
  /** Whether there are older ones to load. */
  readonly hasOlder: boolean;
  /** There are older ones, but no room for them. */
  readonly isFull: boolean;
  /** What could not be read, in words; empty when all is well. */
  readonly fault: string;
  loadOlder(): Promise<void>;
}

interface Reading {
  readonly feed: EventFeed;
  readonly stopped: AbortController;
  isLoading: boolean;
  fault: string;
  /** When the first page was last asked for, on a clock that does not jump. */
  restartedMs: number;
  /** The stream was lost, or more came than the page keeps: something may be missing. */
  isStale: boolean;
}

/** The events that are live, but no more often than can be read. */
function useLiveEvents(): ReadonlyMap<string, NetwallEvent> {
  const [live, setLive] = useState(events.peek());
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let takenMs = -Infinity;
    const take = (): void => {
      timer = undefined;
      takenMs = performance.now();
      setLive(events.peek());
    };
    const stop = events.subscribe(() => {
      const waitMs = takenMs + LIVE_MS_MIN - performance.now();
      if (waitMs <= 0) take();
      else timer ??= setTimeout(take, waitMs);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, []);
  return live;
}

export function useFeed(filters: EventFilters): FeedView {
  const key = JSON.stringify(filters);
  const [, draw] = useReducer((count: number, _: undefined) => count + 1, 0);
  const redraw = (): void => draw(undefined);
  const reading = useMemo<Reading>(() => newReading(filters), [key]);
  const isFirst = useRef(true);
  useEffect(() => {
    const restart = (): void => void read(reading, filters, true, redraw);
    const timer = setTimeout(restart, isFirst.current ? 0 : TYPING_MS);
    isFirst.current = false;
    return () => {
      clearTimeout(timer);
      reading.stopped.abort();
    };
  }, [reading]);
  const live = useLiveEvents();
  const { state } = liveness.value;
  const isLive = state === "live";
  if (reading.feed.takeLive(live) || (state === "lost" && reading.feed.isRead)) reading.isStale = true;
  // While something may be missing the page looks each second whether it may ask again.
  if (reading.isStale) void nowMs.value;
  useEffect(() => {
    if (!reading.isStale || !isLive || performance.now() - reading.restartedMs < RESTART_MS_MIN) return;
    void read(reading, filters, true, redraw);
  });
  const { feed, isLoading, fault } = reading;
  return {
    ...{ rows: feed.rows(), isRead: feed.isRead, isLoading, fault, isFull: feed.isFull },
    hasOlder: feed.next !== undefined,
    loadOlder: () => read(reading, filters, false, redraw),
  };
}

function newReading(filters: EventFilters): Reading {
  return {
    feed: new EventFeed((event) => matches(event, filters, Date.now())),
    stopped: new AbortController(),
    isLoading: false,
    fault: "",
    restartedMs: -Infinity,
    isStale: false,
  };
}

/** Reads the first page, or the next older one. What goes wrong is shown; what is there stays. */
async function read(
  reading: Reading,
  filters: EventFilters,
  isFirst: boolean,
  redraw: () => void,
): Promise<void> {
  const { feed, stopped: { signal } } = reading;
  if (signal.aborted || (reading.isLoading && !isFirst)) return;
  const before = isFirst ? undefined : feed.next;
  if (!isFirst && before === undefined) return;
  reading.isLoading = true;
  if (isFirst) {
    reading.restartedMs = performance.now();
    reading.isStale = false;
  }
  redraw();
  try {
    const query = { ...queryOf(filters, Date.now()), limit: PAGE, before };
    const page = await ask<EventPage>("GET", "/events", { query, signal });
    if (isFirst) feed.restart(page);
    else feed.addPage(page);
    reading.fault = "";
  } catch (error) {
    if (signal.aborted) return;
    reading.fault = messageOf(error);
  }
  reading.isLoading = false;
  redraw();
}
