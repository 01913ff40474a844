/**
 * One client of the live stream: its place in the order of events, and its bounded queue.
 *
 * It pulls: nothing is read from the store or made into text before the connection takes it.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { NetwallEvent } from "../events/event.ts";
import type { EdgeRecord } from "../policy/record.ts";

/** Messages that wait for one client; edges are counted apart. */
export const QUEUE_MAX = 1_024;
/** Edges that wait for one client: of each the newest state alone. */
export const EDGES_WAITING_MAX = 20_000;
/** Messages that are read, made into text and written at once. */
const PAGE = 100;
/** Heartbeats in a row within which a client read nothing, though something waits: it is gone. */
const BEATS_STALLED_MAX = 4;

/** The newest events, in order, and the greatest `seq` that has already left them. */
export interface Recent {
  readonly events: readonly NetwallEvent[];
  readonly droppedSeq: number;
}

export interface StreamClientOptions {
  readonly after: number | undefined;
  /** The greatest `seq` there is now. */
  readonly newestSeq: number;
  eventsAfter(seq: number, limit: number): NetwallEvent[];
  recent(): Recent;
  policyVersion(): number;
  /** An event as JSON; all clients read the same text. */
  jsonOf(event: NetwallEvent): string;
  isGood(): boolean;
  cut(): void;
  /** Called once, whoever ends it. */
  onEnd(): void;
}

export class StreamClient {
  readonly #options: StreamClientOptions;
  readonly #encoder = new TextEncoder();
  /** Events wait as they are, shared by all clients; what else there is, as its text. */
  readonly #queue: (NetwallEvent | string)[] = [];
  readonly #edges = new Map<string, EdgeRecord>();
  /** `replay`: live events are left to the store and the recent ones. `ending`: the queue is the last of it. */
  #state: "replay" | "live" | "ending" | "ended" = "replay";
  /** Of the last event that was written or queued. */
  #seq: number;
  #wake: (() => void) | undefined;
  #readsDone = 0;
  #readsSeen = 0;
  #beatsStalled = 0;
  #isCancelled = false;
  #isStoreLost = false;

  constructor(options: StreamClientOptions) {
    this.#options = options;
    const { after, newestSeq } = options;
    this.#queue.push("retry: 2000\n\n");
    // An id that was never given is of another store: what lies between is not known.
    if (after !== undefined && after > newestSeq) this.#queue.push(lost("another store"));
    this.#seq = Math.min(after ?? newestSeq, newestSeq);
  }

  /** What the connection reads. To be asked for once. */
  body(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        this.#readsDone += 1;
        // Whoever takes all at once must not keep the loop from the visitors: one page, then they have their turn.
        await new Promise<void>((resolve) => setImmediate(resolve));
        for (;;) {
          const text = this.#next();
          if (text !== "") return controller.enqueue(this.#encoder.encode(text));
          if (this.#isCancelled) return;
          if (this.#state === "ending" || this.#state === "ended") {
            this.#finish();
            return controller.close();
          }
          await new Promise<void>((resolve) => this.#wake = resolve);
          this.#wake = undefined;
        }
      },
      cancel: () => {
        this.#isCancelled = true;
        this.#finish();
      },
    }, { highWaterMark: 0 });
  }

  event(event: NetwallEvent): void {
    if (this.#state !== "live" || event.seq <= this.#seq) return;
    if (this.#push(event)) this.#seq = event.seq;
  }

  policy(version: number): void {
    this.#push(message("policy", JSON.stringify({ version })));
  }

  edges(edges: readonly EdgeRecord[]): void {
    if (this.#state !== "replay" && this.#state !== "live") return;
    for (const edge of edges) this.#edges.set(edge.id, edge);
    if (this.#edges.size > EDGES_WAITING_MAX) this.#giveUp();
    this.#wake?.();
  }

  /** Once in a while: says that the stream lives, and ends it when the client may not listen or does not. */
  beat(): void {
    if (!this.#options.isGood()) this.end();
    const isStalled = this.#wake === undefined && this.#readsDone === this.#readsSeen;
    this.#beatsStalled = isStalled ? this.#beatsStalled + 1 : 0;
    this.#readsSeen = this.#readsDone;
    if (this.#beatsStalled >= BEATS_STALLED_MAX) {
      this.#finish();
      return this.#options.cut();
    }
    if (this.#wake !== undefined) this.#push(":\n\n");
  }

  /** Ends it after what is queued. It keeps its place until that is read, or it is found to read nothing. */
  end(): void {
    if (this.#state === "ended") return;
    this.#state = "ending";
    this.#edges.clear();
    this.#wake?.();
  }

  #push(item: NetwallEvent | string): boolean {
    if (this.#state !== "replay" && this.#state !== "live") return false;
    if (this.#queue.length >= QUEUE_MAX) {
      this.#giveUp();
      return false;
    }
    this.#queue.push(item);
    this.#wake?.();
    return true;
  }

  /** What waited is dropped: the client has its last id, and gets all of it when it comes back. */
  #giveUp(): void {
    this.#queue.length = 0;
    this.#queue.push(lost("too slow"));
    this.end();
  }

  #finish(): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#queue.length = 0;
    this.#edges.clear();
    this.#options.onEnd();
    this.#wake?.();
  }

  /** The next text for the connection; empty when there is none now. */
  #next(): string {
    if (this.#queue.length > 0) return this.#textOf(this.#queue.splice(0, PAGE));
    if (this.#state === "replay") return this.#replay();
    if (this.#edges.size === 0) return "";
    const page = [...this.#edges.values()].slice(0, PAGE);
    for (const { id } of page) this.#edges.delete(id);
    return page.map((edge) => message("edge", JSON.stringify(edge))).join("");
  }

  /** No await in here: nothing is noticed between the last stored event and the first live one. */
  #replay(): string {
    const { eventsAfter, recent, policyVersion } = this.#options;
    let stored: NetwallEvent[];
    try {
      stored = eventsAfter(this.#seq, PAGE);
    } catch {
      // The store is ill. Its alarm is raised elsewhere: here the client is told that it has not got all.
      stored = [];
      if (!this.#isStoreLost) this.#queue.push(lost("store"));
      this.#isStoreLost = true;
    }
    if (stored.length > 0) {
      this.#seq = stored.at(-1)!.seq;
      return this.#textOf(stored);
    }
    const { events, droppedSeq } = recent();
    if (droppedSeq > this.#seq) this.#queue.push(lost("not stored"));
    const first = events.findIndex(({ seq }) => seq > this.#seq);
    const fresh = first < 0 ? [] : events.slice(first, first + PAGE);
    this.#seq = fresh.at(-1)?.seq ?? this.#seq;
    const isAll = first < 0 || first + PAGE >= events.length;
    if (isAll) this.#state = "live";
    const ready = isAll ? [readyText(this.#seq, policyVersion())] : [];
    return this.#textOf([...this.#queue.splice(0), ...fresh, ...ready]);
  }

  /** The id of an event is the place to go on from. */
  #textOf(items: readonly (NetwallEvent | string)[]): string {
    return items.map((item) =>
      typeof item === "string" ? item : message("event", this.#options.jsonOf(item), item.seq)
    ).join("");
  }
}

/** All that was missed has come. */
function readyText(seq: number, version: number): string {
  return message("ready", JSON.stringify({ seq, version }), seq);
}

/** Something may be missing: read anew what is shown. */
function lost(reason: string): string {
  return message("lost", JSON.stringify({ reason }));
}

/** JSON holds no line break, so the data is one line. */
function message(kind: string, data: string, seq?: number): string {
  return `event: ${kind}\n${seq === undefined ? "" : `id: ${seq}\n`}data: ${data}\n\n`;
}
