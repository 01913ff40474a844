/**
 * The traffic of the sample: visitors at a walking pace, and a stranger now and then.
 *
 * Strangers wait until what is normal has been learned: what comes before that would be learned as well. Nobody is
 * asked whether it has, as the sample knows what the gateway waits for, and what it has sent.
 *
 * @module
 */
import type { Answer, Client } from "./client.ts";
import { between, type Random } from "./random.ts";
import { OPERATION_NAMES, ORDER, type Visit, visits } from "./visits.ts";

/** Between two visits, on average: so many while there is much to learn, then as many as cost next to nothing. */
const LEARNING_GAP_MS = 230;
const VISIT_GAP_MS = 310;
/** By how much of it the gap grows and shrinks in the course of a wave, so that a chart has a shape. */
const WAVE_SHARE = 0.15;
const WAVE_MS = 240_000;
/** Visits under way: a gateway that answers nothing is not asked for ever more. */
const VISITS_OPEN_MAX = 24;

/** After what is normal should have been learned: the gateway looks each second, and may be slow. */
const STRANGER_DELAY_MS = 5_000;
/** Between the first ones, each of another kind. */
const FIRST_GAP_MS = 4_000;
const STRANGER_GAP_MS_MIN = 20_000;
const STRANGER_GAP_MS_MAX = 30_000;

/** When a model is stable. */
export interface LearningGate {
  /** Since its first request. */
  readonly timeMs: number;
  /** Since something new. */
  readonly quietMs: number;
  /** Requests. */
  readonly requests: number;
}

/** What the traffic needs to know of the wall. */
export interface TrafficOptions {
  readonly host: string;
  readonly port: number;
  readonly random: Random;
  /** What visitors come by. */
  readonly client: Client;
  readonly gate: LearningGate;
  /** What strangers do, in turn. What becomes of it is the firewall's business. */
  readonly strangers: readonly ((visit: (visit: Visit) => Promise<unknown>) => Promise<unknown>)[];
}

/** Runs from its making until it is stopped. */
export class SampleTraffic {
  readonly #options: TrafficOptions;
  readonly #visits: Generator<Visit, never>;
  readonly #evidence: Evidence;
  readonly #startMs = performance.now();
  #underWay = 0;
  #strangersDone = 0;
  #strangerDueMs: number | undefined;
  #timer: ReturnType<typeof setTimeout>;

  constructor(options: TrafficOptions) {
    this.#options = options;
    this.#visits = visits(options.random);
    this.#evidence = new Evidence(options.gate);
    this.#timer = setTimeout(() => this.#step(), 0);
  }

  /** Nobody comes any more. Who is there goes on. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #step(): void {
    const nowMs = performance.now();
    if (this.#underWay < VISITS_OPEN_MAX) void this.#come(this.#visits.next().value);
    this.#strangerDueMs ??= this.#evidence.stableAtMs;
    if (this.#strangerDueMs !== undefined && nowMs >= this.#strangerDueMs + STRANGER_DELAY_MS) {
      this.#comeStrange(nowMs);
    }
    const wave = 1 + WAVE_SHARE * Math.sin(2 * Math.PI * (nowMs - this.#startMs) / WAVE_MS);
    const gapMs = this.#strangerDueMs === undefined ? LEARNING_GAP_MS : VISIT_GAP_MS * wave;
    this.#timer = setTimeout(() => this.#step(), gapMs * (0.4 + 1.2 * this.#options.random()));
  }

  async #come(visit: Visit): Promise<void> {
    this.#underWay++;
    try {
      const { status } = await this.#ask(visit);
      if (status < 400) this.#evidence.add(visit.operation, performance.now());
    } catch {
      // The gateway is leaving, or the policy cut it off.
    } finally {
      this.#underWay--;
    }
  }

  #comeStrange(nowMs: number): void {
    const { strangers, random } = this.#options;
    const act = strangers[this.#strangersDone % strangers.length];
    this.#strangersDone++;
    const gapMs = this.#strangersDone < strangers.length
      ? FIRST_GAP_MS
      : between(random, STRANGER_GAP_MS_MIN, STRANGER_GAP_MS_MAX);
    this.#strangerDueMs = nowMs - STRANGER_DELAY_MS + gapMs;
    // Refused or not: who has to know sees it as an event.
    act?.((visit) => this.#ask(visit)).catch(() => {});
  }

  #ask({ address, userAgent, method, path, body, leaveAfterMs }: Visit): Promise<Answer> {
    const { host, port, client } = this.#options;
    return client.ask({
      ...{ at: { host, port }, authority: authorityOf(host, port), method, path },
      // The gateway of the sample trusts its own machine to say who the visitor is.
      headers: { "X-Forwarded-For": address, "User-Agent": userAgent, Accept: "*/*" },
      ...(body === undefined ? {} : { body }),
      ...(leaveAfterMs === undefined ? {} : { leaveAfterMs }),
    });
  }
}

function authorityOf(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** What has been learned so far, as far as who sent it can tell. */
export class Evidence {
  readonly #gate: LearningGate;
  readonly #seen = new Set<string>();
  #firstMs = 0;
  #lastNewMs = 0;
  #orders = 0;

  constructor(gate: LearningGate) {
    this.#gate = gate;
  }

  /** A visit ended well. @param nowMs On any clock, always the same. */
  add(operation: string, nowMs: number): void {
    if (this.#seen.size === 0) this.#firstMs = nowMs;
    if (!this.#seen.has(operation)) this.#lastNewMs = nowMs;
    this.#seen.add(operation);
    // An order passes every edge that is not of visitors, so it is what each of these has at least.
    if (operation === ORDER) this.#orders++;
  }

  /** From when on all models are stable; `undefined` while something is missing that time alone does not bring. */
  get stableAtMs(): number | undefined {
    const { timeMs, quietMs, requests } = this.#gate;
    if (this.#orders < requests || OPERATION_NAMES.some((name) => !this.#seen.has(name))) return undefined;
    // What is behind the first request is asked for a little later: by the first pass at the latest.
    return Math.max(this.#lastNewMs + Math.max(timeMs, quietMs), this.#firstMs + timeMs);
  }
}
