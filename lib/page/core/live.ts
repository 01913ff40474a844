/**
 * Keeps the state up to date: reads all once, follows the live stream, and comes back after a loss without a gap.
 *
 * Changes are gathered and shown together, a few times a second: a flood of events must not be a flood of drawing.
 *
 * @module
 */
import { batch } from "@preact/signals";
import { ApiError, ask, messageOf, respond } from "./api.ts";
import { goneAfter } from "./gone.ts";
import { Rates } from "./rates.ts";
import { noteCaller } from "./session.ts";
import { SseReader } from "./sse.ts";
import {
  edges,
  events,
  EVENTS_KEPT_MAX,
  fault,
  forget,
  goneLinks,
  groups,
  isLoaded,
  links,
  liveness,
  nowMs,
  policyVersion,
  rates,
  status,
} from "./state.ts";
import type { EdgeRecord, GroupView, Link, NetwallEvent, Status } from "./types.ts";

/** How often what has no stream is asked for. */
const POLL_MS = 2_000;
/** The same while nobody looks at the tab. */
const POLL_HIDDEN_MS = 15_000;
/** Changes of the stream are shown so often. */
const FLUSH_MS = 200;
/** Waits before the stream is opened again: the first, and the longest. */
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 10_000;
/** A stream that is silent for two heartbeats and more is dead. */
const SILENCE_MS = 35_000;
/** Events that are read at the start. */
const EVENTS_FIRST = 200;

export class Live {
  readonly #stopped = new AbortController();
  readonly #rates = new Rates();
  readonly #pendingEdges = new Map<string, EdgeRecord>();
  readonly #pendingEvents = new Map<string, NetwallEvent>();
  #flushTimer: ReturnType<typeof setTimeout> | undefined;
  #pollTimer: ReturnType<typeof setTimeout> | undefined;
  #pollWake: (() => void) | undefined;
  #clock: ReturnType<typeof setInterval> | undefined;
  /** Of the newest event, and of the newest change of an edge. */
  #eventSeq: number | undefined;
  #edgeSeq = 0;

  start(): void {
    this.#clock = setInterval(() => {
      nowMs.value = Date.now();
      rates.value = this.#rates.current(performance.now());
    }, 1_000);
    document.addEventListener("visibilitychange", this.#onVisible);
    void this.#poll();
    void this.#follow();
  }

  stop(): void {
    this.#stopped.abort();
    clearInterval(this.#clock);
    clearTimeout(this.#flushTimer);
    clearTimeout(this.#pollTimer);
    this.#pollWake?.();
    document.removeEventListener("visibilitychange", this.#onVisible);
    forget();
  }

  /** Asks at once for what has no stream. */
  refresh(): void {
    this.#pollWake?.();
  }

  readonly #onVisible = (): void => {
    if (document.visibilityState === "visible") this.refresh();
  };

  async #poll(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        await this.#readState(signal);
      } catch (error) {
        if (signal.aborted) return;
        fault.value = messageOf(error);
      }
      const waitMs = document.visibilityState === "visible" ? POLL_MS : POLL_HIDDEN_MS;
      await new Promise<void>((resolve) => {
        this.#pollWake = resolve;
        this.#pollTimer = setTimeout(resolve, waitMs);
      });
      clearTimeout(this.#pollTimer);
    }
  }

  async #readState(signal: AbortSignal): Promise<void> {
    const [nextStatus, nextGroups, nextLinks] = await Promise.all([
      ask<Status>("GET", "/status", { signal }),
      ask<{ items: GroupView[] }>("GET", "/groups", { signal }),
      ask<{ links: Link[] }>("GET", "/links", { signal }),
    ]);
    await noteCaller(nextStatus.caller);
    batch(() => {
      status.value = nextStatus;
      // A list that is as it was is left as it is: nothing is drawn anew for it.
      if (JSON.stringify(nextGroups.items) !== JSON.stringify(groups.peek())) groups.value = nextGroups.items;
      goneLinks.value = goneAfter(goneLinks.peek(), links.peek(), nextLinks.links, Date.now());
      links.value = nextLinks.links;
      policyVersion.value = nextStatus.firewall?.policyVersion ?? 0;
      fault.value = "";
    });
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopped;
    let retryMs = RETRY_MS_MIN;
    let lostAtMs: number | undefined;
    while (!signal.aborted) {
      let reason = "the gateway ended the live stream";
      try {
        await this.#catchUp(signal);
        await this.#read(signal, () => {
          retryMs = RETRY_MS_MIN;
          lostAtMs = undefined;
        });
      } catch (error) {
        if (signal.aborted) return;
        reason = messageOf(error);
        // The firewall is off: there is nothing to follow, and never will be.
        if (error instanceof ApiError && error.status === 404) {
          fault.value = reason;
          isLoaded.value = true;
        }
      }
      if (signal.aborted) return;
      lostAtMs ??= Date.now();
      liveness.value = { state: "lost", sinceMs: lostAtMs, reason };
      await new Promise((resolve) => setTimeout(resolve, retryMs * (0.75 + Math.random() / 2)));
      retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
    }
  }

  /** Events go on where they ended. Edges are read anew: the gateway may be another one than before. */
  async #catchUp(signal: AbortSignal): Promise<void> {
    this.#edgeSeq = 0;
    if (this.#eventSeq === undefined) {
      const page = await ask<{ items: NetwallEvent[]; seq: number }>("GET", "/events", {
        query: { limit: EVENTS_FIRST },
        signal,
      });
      for (const event of page.items.reverse()) this.#pendingEvents.set(event.id, event);
      this.#eventSeq = page.seq;
    }
    await this.#readEdges(signal);
  }

  async #readEdges(signal: AbortSignal): Promise<void> {
    const query = { after: this.#edgeSeq };
    const { items } = await ask<{ items: EdgeRecord[] }>("GET", "/edges", { query, signal });
    if (query.after === 0) {
      const ids = new Set(items.map(({ id }) => id));
      edges.value = new Map([...edges.peek()].filter(([id]) => ids.has(id)));
    }
    for (const edge of items) this.#takeEdge(edge);
    this.#flush();
    isLoaded.value = true;
  }

  async #read(signal: AbortSignal, onReady: () => void): Promise<void> {
    const silent = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const heard = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(new ApiError("the live stream fell silent", 0)), SILENCE_MS);
    };
    heard();
    try {
      const response = await respond("GET", "/stream", {
        query: { after: this.#eventSeq },
        signal: AbortSignal.any([signal, silent.signal]),
      });
      const reader = new SseReader();
      const decoder = new TextDecoder();
      for await (const piece of chunksOf(response.body!)) {
        heard();
        for (const { name, data } of reader.push(decoder.decode(piece, { stream: true }))) {
          await this.#take(name, data, signal, onReady);
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async #take(name: string, data: string, signal: AbortSignal, onReady: () => void): Promise<void> {
    const message: unknown = JSON.parse(data);
    if (name === "event") this.#takeEvent(message as NetwallEvent);
    else if (name === "edge") {
      this.#takeEdge(message as EdgeRecord);
      this.#flushSoon();
    } else if (name === "policy") {
      policyVersion.value = (message as { version: number }).version;
      this.refresh();
    } else if (name === "ready") {
      // What changed between the reading of the edges and this moment.
      await this.#readEdges(signal);
      liveness.value = { state: "live" };
      onReady();
    } else if (name === "lost") {
      // The next time all is read anew.
      this.#eventSeq = undefined;
      throw new ApiError(
        `something of the live stream was lost: ${(message as { reason: string }).reason}`,
        0,
      );
    }
  }

  #takeEvent(event: NetwallEvent): void {
    this.#eventSeq = Math.max(this.#eventSeq ?? 0, event.seq);
    this.#pendingEvents.delete(event.id);
    this.#pendingEvents.set(event.id, event);
    // A tab in the background may not draw for long: what waits is bounded all the same.
    if (this.#pendingEvents.size > EVENTS_KEPT_MAX) {
      this.#pendingEvents.delete(this.#pendingEvents.keys().next().value!);
    }
    this.#flushSoon();
  }

  #takeEdge(edge: EdgeRecord): void {
    this.#edgeSeq = Math.max(this.#edgeSeq, edge.seq);
    this.#rates.note(edge.id, edge.count, performance.now());
    this.#pendingEdges.set(edge.id, edge);
  }

  #flushSoon(): void {
    this.#flushTimer ??= setTimeout(() => this.#flush(), FLUSH_MS);
  }

  #flush(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    batch(() => {
      if (this.#pendingEdges.size > 0) edges.value = new Map([...edges.peek(), ...this.#pendingEdges]);
      if (this.#pendingEvents.size > 0) {
        const merged = new Map(events.peek());
        for (const [id, event] of this.#pendingEvents) {
          merged.delete(id);
          merged.set(id, event);
        }
        for (const id of merged.keys()) {
          if (merged.size <= EVENTS_KEPT_MAX) break;
          merged.delete(id);
        }
        events.value = merged;
      }
    });
    this.#pendingEdges.clear();
    this.#pendingEvents.clear();
  }
}

/** The pieces of a body, as not every browser lets it be iterated. */
async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
