/**
 * The last requests: heads, and bodies where they were recorded.
 *
 * A service keeps at most `REQUESTS_PER_SERVICE_MAX`. When all together are too many, the oldest of the service that
 * has most goes: so a quiet service keeps its few however busy the others are.
 *
 * @module
 */
import { KeptRequest, type RequestFacts, type RequestSummary } from "./kept_request.ts";
import { FieldMasks } from "./mask_fields.ts";
import { RecordedBytes } from "./recorded_body.ts";

export const REQUESTS_KEPT_MAX = 2_000;
export const REQUESTS_PER_SERVICE_MAX = 200;
/** Of all heads together. */
export const REQUEST_LOG_BYTES_MAX = 16 << 20;
/** Of all recorded bodies together. */
export const RECORDED_BYTES_MAX = 32 << 20;
/** Until it is settled what came in is as it came, secrets and all, in memory alone. Most of a flood is gone by then. */
export const SETTLE_MS = 1_000;

/** How long requests are settled in one go, and the pause after it: it takes a third of the time at most. */
export const SETTLE_PIECE_MS = 4;
const SETTLE_PAUSE_MS = 8;

/** What to look for; all that is given must hold. */
export interface RequestQuery {
  readonly service?: string | undefined;
  /** Such as `404`, `5xx`, or `none` for those without a head. */
  readonly status?: string | undefined;
  /** The `next` of the page before. */
  readonly before?: number | undefined;
  readonly limit: number;
}

export interface RequestPage {
  /** The newest first. */
  readonly items: RequestSummary[];
  /** Absent on the last page. */
  readonly next?: string;
}

export interface RequestLogLimits {
  readonly requestsMax: number;
  readonly perServiceMax: number;
  readonly bytesMax: number;
  readonly recordedBytesMax: number;
}

const LIMITS: RequestLogLimits = {
  requestsMax: REQUESTS_KEPT_MAX,
  perServiceMax: REQUESTS_PER_SERVICE_MAX,
  bytesMax: REQUEST_LOG_BYTES_MAX,
  recordedBytesMax: RECORDED_BYTES_MAX,
};

/** The requests of one service, the oldest first. */
interface Shelf {
  readonly service: string;
  readonly kept: KeptRequest[];
}

export class RequestLog {
  readonly masks = new FieldMasks();
  /** The memory of bodies. */
  readonly memory: RecordedBytes;
  readonly #limits: RequestLogLimits;
  readonly #shelves = new Map<string, Shelf>();
  /** Shelves by how many requests they hold, so that the fullest is found at once. */
  readonly #byCount: Set<Shelf>[] = [];
  #fullest = 0;
  #count = 0;
  #bytes = 0;
  #seq = 0;
  #unsettled: KeptRequest[] = [];
  /** With bodies, the oldest first. */
  readonly #recorded = new Set<KeptRequest>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(limits: Partial<RequestLogLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
    this.memory = new RecordedBytes(this.#limits.recordedBytesMax, () => this.#dropRecorded());
  }

  get count(): number {
    return this.#count;
  }

  /** Of the heads. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Those that are not settled yet. */
  get unsettled(): number {
    return this.#unsettled.length;
  }

  add(facts: RequestFacts): void {
    const { perServiceMax, requestsMax, bytesMax } = this.#limits;
    const kept = new KeptRequest(facts, ++this.#seq);
    // With its bodies it stays for longer than what came with it should.
    if (kept.bodies !== undefined) kept.copy();
    this.#settleSoon(kept);
    let shelf = this.#shelves.get(facts.service);
    if (shelf === undefined) {
      shelf = { service: facts.service, kept: [] };
      this.#shelves.set(facts.service, shelf);
    }
    // It goes after the new one has come: an empty shelf would be taken away.
    shelf.kept.push(kept);
    this.#moved(shelf, shelf.kept.length - 1);
    this.#count++;
    this.#bytes += kept.bytes;
    if (kept.bodies !== undefined) {
      kept.bodies.finish();
      this.#recorded.add(kept);
    }
    if (shelf.kept.length > perServiceMax) this.#removeOldest(shelf);
    while (this.#count > requestsMax || this.#bytes > bytesMax) this.#removeOldest(this.#fullestShelf(shelf));
  }

  /** Those that are not settled by then, the newest, are left out. @param settleMs For how long they are settled. */
  list(query: RequestQuery, settleMs: number = Infinity): RequestPage {
    this.settle(settleMs);
    const { service, status, before = Infinity, limit } = query;
    const shelves = service === undefined ? [...this.#shelves.values()] : [this.#shelves.get(service)];
    const found = shelves.flatMap((shelf) =>
      (shelf?.kept ?? []).filter((kept) =>
        kept.isSettled && kept.seq < before && (status === undefined || isStatus(kept.facts.status, status))
      )
    );
    found.sort((a, b) => b.seq - a.seq);
    const page = found.slice(0, limit);
    const items = page.map((kept) => kept.summary());
    return found.length > limit ? { items, next: String(page.at(-1)!.seq) } : { items };
  }

  /** @returns A settled one. */
  find(id: string): KeptRequest | undefined {
    for (const { kept } of this.#shelves.values()) {
      const found = kept.find(({ facts }) => facts.id === id);
      if (found === undefined) continue;
      this.#settleOne(found);
      return found;
    }
    return undefined;
  }

  /**
   * Masks and copies what came in last, the oldest first.
   *
   * @param ms For about how long: the rest follows soon. @default no bound
   * @returns How many it has looked at.
   */
  settle(ms: number = Infinity): number {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const endMs = performance.now() + ms;
    let done = 0;
    for (const kept of this.#unsettled) {
      done++;
      this.#settleOne(kept);
      if (performance.now() >= endMs) break;
    }
    this.#unsettled = this.#unsettled.slice(done);
    if (this.#unsettled.length > 0) this.#settleIn(SETTLE_PAUSE_MS);
    return done;
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #settleOne(kept: KeptRequest): void {
    if (kept.isSettled || kept.isGone) return;
    this.#bytes -= kept.bytes;
    kept.settle(this.masks);
    this.#bytes += kept.bytes;
    // Most have become shorter; one whose target is kept twice has not.
    while (this.#bytes > this.#limits.bytesMax) this.#removeOldest(this.#fullestShelf());
  }

  #settleSoon(kept: KeptRequest): void {
    this.#unsettled.push(kept);
    // In a flood most are pushed out again at once: they are let go of before they are too many.
    if (this.#unsettled.length > 2 * this.#limits.requestsMax) {
      this.#unsettled = this.#unsettled.filter(({ isGone, isSettled }) => !isGone && !isSettled);
    }
    if (this.#timer === undefined) this.#settleIn(SETTLE_MS);
  }

  #settleIn(ms: number): void {
    this.#timer = setTimeout(() => this.settle(SETTLE_PIECE_MS), ms);
    this.#timer.unref?.();
  }

  #removeOldest(shelf: Shelf): void {
    const kept = shelf.kept.shift();
    if (kept === undefined) return;
    this.#count--;
    this.#bytes -= kept.bytes;
    this.#recorded.delete(kept);
    kept.letGo();
    this.#moved(shelf, shelf.kept.length + 1);
    if (shelf.kept.length === 0) this.#shelves.delete(shelf.service);
  }

  /** There is one. @param own Goes before others that have as many. */
  #fullestShelf(own?: Shelf): Shelf {
    while (this.#fullest > 0 && (this.#byCount[this.#fullest]?.size ?? 0) === 0) this.#fullest--;
    if (own?.kept.length === this.#fullest) return own;
    for (const shelf of this.#byCount[this.#fullest] ?? []) return shelf;
    throw new RangeError("no request is kept");
  }

  #moved(shelf: Shelf, from: number): void {
    const to = shelf.kept.length;
    this.#byCount[from]?.delete(shelf);
    if (to > 0) (this.#byCount[to] ??= new Set()).add(shelf);
    if (to > this.#fullest) this.#fullest = to;
  }

  #dropRecorded(): boolean {
    for (const kept of this.#recorded) {
      this.#recorded.delete(kept);
      kept.dropBodies();
      if (!kept.isSettled) this.#settleSoon(kept);
      return true;
    }
    return false;
  }
}

function isStatus(status: number, wanted: string): boolean {
  if (wanted === "none") return status === 0;
  return wanted.endsWith("xx") ? Math.floor(status / 100) === Number(wanted[0]) : status === Number(wanted);
}
