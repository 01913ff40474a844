/**
 * The live stream: what the firewall notices, as server-sent events.
 *
 * Nothing is missed and nothing comes twice. What is noticed is told at once, but is in the store only a moment
 * later; so the newest events are kept here as well, and a client that comes back gets the store's first, then these,
 * then the live ones, by `seq`. Whoever does not read costs a bounded queue, is told that something is lost, and is
 * let go: it comes back with its last id.
 *
 * Source: HTML Living Standard §9.2 (server-sent events).
 *
 * @module
 */
import type { NetwallEvent } from "../events/event.ts";
import type { EdgeRecord } from "../policy/record.ts";
import { printable } from "../printable.ts";
import type { FirewallControl, StreamMessage } from "./control.ts";
import { StreamClient } from "./stream_client.ts";

/** Clients at once. Each may hold `QUEUE_MAX` messages. */
export const STREAM_CLIENTS_MAX = 32;
/** The newest events that are kept until they are surely stored: the writer's queue drains within a second. */
const RECENT_MAX = 4_096;
/** Texts of events that are kept for the next client that asks; of some 1 KiB each. */
const TEXTS_MAX = 512;
/** A comment so often keeps proxies from closing the stream. */
const HEARTBEAT_MS = 15_000;
/** Changes of one edge within this time are one message: at most four a second. */
const EDGES_MS = 250;

export interface LiveStreamOptions {
  /** @default 32 */
  readonly clientsMax?: number;
  /** @default 15 s */
  readonly heartbeatMs?: number;
  /** @default 250 ms */
  readonly edgesMs?: number;
}

export interface OpenOptions {
  /** The `seq` of the last event that the client knows; without it, it gets what comes from now on. */
  readonly after?: number;
  /** Whether the client may still listen: asked with every heartbeat. */
  isGood(): boolean;
  /** Cuts the connection of a client that has stopped reading. */
  cut(): void;
}

/** One firewall's live stream. It listens from the beginning on, until `close`. */
export class LiveStream {
  readonly #control: FirewallControl;
  readonly #options: Required<LiveStreamOptions>;
  readonly #clients = new Set<StreamClient>();
  readonly #unsubscribe: () => void;
  readonly #edges = new Map<string, EdgeRecord>();
  readonly #recent = { events: [] as NetwallEvent[], droppedSeq: 0 };
  readonly #texts = new Map<NetwallEvent, string>();
  #edgesTimer: ReturnType<typeof setTimeout> | undefined;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #closed = false;

  constructor(control: FirewallControl, options: LiveStreamOptions = {}) {
    this.#control = control;
    const defaults = { clientsMax: STREAM_CLIENTS_MAX, heartbeatMs: HEARTBEAT_MS, edgesMs: EDGES_MS };
    this.#options = { ...defaults, ...options };
    this.#unsubscribe = control.subscribe((message) => this.#take(message));
  }

  /** How many listen now. */
  get clients(): number {
    return this.#clients.size;
  }

  /** @returns The body of the answer; `undefined` when there are too many clients, or the stream is closed. */
  open({ after, isGood, cut }: OpenOptions): ReadableStream<Uint8Array> | undefined {
    if (this.#closed || this.#clients.size >= this.#options.clientsMax) return undefined;
    const { store } = this.#control;
    const client = new StreamClient({
      after,
      newestSeq: Math.max(store.lastSeq(), this.#recent.events.at(-1)?.seq ?? 0, this.#recent.droppedSeq),
      eventsAfter: (seq, limit) => store.eventsAfter(seq, limit),
      recent: () => this.#recent,
      policyVersion: () => this.#control.policy().version,
      jsonOf: (event) => this.#jsonOf(event),
      isGood,
      cut,
      onEnd: () => this.#leave(client),
    });
    this.#clients.add(client);
    this.#heartbeat ??= unrefed(setInterval(() => this.#beat(), this.#options.heartbeatMs));
    return client.body();
  }

  /** Ends every client and listens no more. */
  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    for (const client of [...this.#clients]) client.end();
    clearTimeout(this.#edgesTimer);
    this.#edges.clear();
    this.#texts.clear();
  }

  #leave(client: StreamClient): void {
    this.#clients.delete(client);
    if (this.#clients.size > 0) return;
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
  }

  #take(message: StreamMessage): void {
    if (message.kind === "edge") return this.#takeEdge(message.edge);
    if (message.kind === "policy") {
      for (const client of [...this.#clients]) client.policy(message.version);
      return;
    }
    const { events } = this.#recent;
    events.push(message.event);
    // Half goes at once: taking one off the front for every event would move the others each time.
    if (events.length > RECENT_MAX) {
      this.#recent.droppedSeq = events.splice(0, RECENT_MAX / 2).at(-1)!.seq;
    }
    for (const client of [...this.#clients]) client.event(message.event);
  }

  #takeEdge(edge: EdgeRecord): void {
    // Nobody misses an edge: whoever comes reads all of them first.
    if (this.#clients.size === 0) return;
    this.#edges.set(edge.id, edge);
    this.#edgesTimer ??= unrefed(setTimeout(() => this.#flushEdges(), this.#options.edgesMs));
  }

  /** The text of an event, from the newest ones that were asked for: clients that keep up ask for the same. */
  #jsonOf(event: NetwallEvent): string {
    const known = this.#texts.get(event);
    if (known !== undefined) return known;
    // JSON escapes less than the terminal of who looks at it minds; what is escaped here is escaped the JSON way too.
    const text = printable(JSON.stringify(event));
    this.#texts.set(event, text);
    for (const oldest of this.#texts.keys()) {
      if (this.#texts.size <= TEXTS_MAX) break;
      this.#texts.delete(oldest);
    }
    return text;
  }

  #flushEdges(): void {
    this.#edgesTimer = undefined;
    const edges = [...this.#edges.values()];
    this.#edges.clear();
    for (const client of [...this.#clients]) client.edges(edges);
  }

  #beat(): void {
    for (const client of [...this.#clients]) client.beat();
  }
}

/** A timer that keeps no process alive. */
function unrefed<T extends { unref(): unknown }>(timer: T): T {
  timer.unref();
  return timer;
}
