/**
 * One request in the log: what is listed of it, and its heads.
 *
 * It comes in as references to what the gateway has at hand, which costs nothing. Before it is shown, and within
 * seconds in any case, it is settled: secrets are masked, what is too long is cut, and the rest is copied into one text
 * of its own, so that it holds nothing else alive. Only while its bodies are recorded do its secrets stay, for a
 * replay; they are masked whenever it is shown.
 *
 * To settle one takes up to some milliseconds if it is made for it, so that it is never done on the way of a request.
 *
 * @module
 */
import type { FieldMasks } from "./mask_fields.ts";
import { maskPairs } from "./mask_pairs.ts";
import type { BodyTap } from "./recordings.ts";
import { MASK } from "./secret_names.ts";

/** Of the head of a request, and as much of that of its answer. */
export const HEAD_BYTES_KEPT_MAX = 8 << 10;
/** What an entry takes beside its texts; measured at 470 to 580. */
const ENTRY_BYTES = 600;

/** What the gateway tells of a request that is over. */
export interface RequestFacts {
  readonly id: string;
  readonly service: string;
  readonly agent: string | undefined;
  readonly direction: "north-south" | "east-west";
  /** The address of a visitor, or the id of the group that called. */
  readonly source: string;
  /** The agent that called. */
  readonly caller: string | undefined;
  /** It came over TLS. */
  readonly secure: boolean;
  readonly method: string;
  readonly host: string;
  readonly target: string;
  readonly hasBody: boolean;
  readonly upgrade: boolean;
  /** Flat names and values, of both ways. Not changed later. */
  readonly requestFields: readonly string[];
  readonly responseFields: readonly string[];
  /** 0 when no head was sent. */
  readonly status: number;
  /** When it came, since 1970. */
  readonly atMs: number;
  readonly ms: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly verdict: "forwarded" | "audited" | "dropped" | undefined;
  readonly rule: string | undefined;
  readonly failure: string | undefined;
  /** The id of the request that this one repeats. */
  readonly replayOf: string | undefined;
  readonly bodies: BodyTap | undefined;
}

/** What is listed of a request. */
export interface RequestSummary {
  readonly id: string;
  readonly service: string;
  readonly agent?: string | undefined;
  readonly direction: "north-south" | "east-west";
  readonly source: string;
  readonly atMs: number;
  readonly ms: number;
  readonly method: string;
  readonly host: string;
  readonly target: string;
  readonly status: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly verdict?: "forwarded" | "audited" | "dropped" | undefined;
  readonly rule?: string | undefined;
  readonly failure?: string | undefined;
  readonly recorded: "head" | "bodies";
  readonly replayOf?: string | undefined;
}

/** A request head, and the fields of its answer. */
export interface Heads {
  readonly method: string;
  readonly host: string;
  readonly target: string;
  /** Flat names and values. */
  readonly requestFields: string[];
  readonly responseFields: string[];
  /** Something is missing, as it was too long. */
  readonly isCut: boolean;
}

/** What stays beside the heads. */
type FactsKept = Omit<
  RequestFacts,
  "method" | "host" | "target" | "requestFields" | "responseFields" | "bodies"
>;

export class KeptRequest {
  /** Its place in the log: newer ones have greater ones. */
  readonly seq: number;
  /** The log has let go of it. */
  isGone = false;
  #facts: FactsKept;
  #raw: RequestFacts | undefined;
  /** Method, host, target, names and values, in lines: none of them may hold a line end. */
  #request = "";
  #response = "";
  #isCut = false;
  #isMasked = false;
  /** The target as it is listed, once that is known. */
  #shownTarget: string | undefined;
  bodies: BodyTap | undefined;
  /** About what it holds, without bodies. */
  bytes: number;

  constructor(facts: RequestFacts, seq: number) {
    this.seq = seq;
    this.#facts = facts;
    this.#raw = facts;
    this.bodies = facts.bodies;
    this.bytes = ENTRY_BYTES + facts.target.length + lengthOf(facts.requestFields) +
      lengthOf(facts.responseFields);
  }

  get facts(): FactsKept {
    return this.#facts;
  }

  get isSettled(): boolean {
    return this.#shownTarget !== undefined;
  }

  /** Whether its secrets are still in it. */
  get isRaw(): boolean {
    return !this.#isMasked;
  }

  /** Copies what it holds into memory of its own, with its secrets, as it is recorded. Without effect the next time. */
  copy(): void {
    if (this.#raw !== undefined) this.#take(this.#raw, undefined);
  }

  /** Copies what it holds into memory of its own; masks it unless its bodies are recorded. */
  settle(masks: FieldMasks): void {
    const isMasked = this.bodies === undefined;
    if (this.#raw !== undefined) this.#take(this.#raw, isMasked ? masks : undefined);
    if (isMasked && !this.#isMasked) {
      const { method, host, target, requestFields, responseFields } = this.shown(masks);
      this.#request = ownText([method, host, target, ...requestFields]);
      this.#response = ownText(responseFields);
      this.#isMasked = true;
    }
    const { target } = this.heads();
    this.#shownTarget = this.#isMasked ? target : maskPairs(target);
    this.bytes = ENTRY_BYTES + this.#request.length + this.#response.length +
      (this.#isMasked ? 0 : this.#shownTarget.length);
  }

  /** Forgets the bodies. The secrets of the heads are forgotten when it is settled again. */
  dropBodies(): void {
    this.bodies?.release();
    this.bodies = undefined;
    if (!this.#isMasked) this.#shownTarget = undefined;
  }

  /** The log lets go of it: nothing of what came in stays alive with it. */
  letGo(): void {
    this.isGone = true;
    this.bodies?.release();
    this.bodies = undefined;
    this.#raw = undefined;
  }

  /** @param masks Without them secrets stay. */
  #take(raw: RequestFacts, masks: FieldMasks | undefined): void {
    this.#raw = undefined;
    const { method, host, target, requestFields, responseFields, bodies: _bodies, ...rest } = raw;
    // The whole of what came would stay alive with the object that names it.
    this.#facts = rest;
    // The name of a value that is cut stands before it, so it is masked all the same.
    const cutTarget = target.slice(0, HEAD_BYTES_KEPT_MAX);
    this.#isCut = target.length > HEAD_BYTES_KEPT_MAX;
    const shownTarget = masks === undefined ? cutTarget : maskPairs(cutTarget);
    this.#request = ownText([method, host, shownTarget, ...this.#kept(requestFields, masks)]);
    this.#response = ownText(this.#kept(responseFields, masks));
    this.#isMasked = masks !== undefined;
    this.bytes = ENTRY_BYTES + this.#request.length + this.#response.length;
  }

  /** The heads as they may be shown. It is settled. */
  shown(masks: FieldMasks): Heads {
    const heads = this.heads();
    if (this.#isMasked) return heads;
    return {
      ...heads,
      target: maskPairs(heads.target),
      requestFields: masked(heads.requestFields, masks),
      responseFields: masked(heads.responseFields, masks),
    };
  }

  /** The heads as they are kept: with secrets when it `isRaw`. It is settled. */
  heads(): Heads {
    const [method = "", host = "", target = "", ...requestFields] = this.#request.split("\n");
    const responseFields = this.#response === "" ? [] : this.#response.split("\n");
    return { method, host, target, requestFields, responseFields, isCut: this.#isCut };
  }

  /** What is listed of it. It is settled. */
  summary(): RequestSummary {
    const facts = this.#facts;
    const { agent, verdict, rule, failure, replayOf } = facts;
    // A thousand are listed at once: the fields stay as they are.
    const [method = "", host = ""] = this.#request.split("\n", 2);
    return {
      ...{ id: facts.id, service: facts.service, direction: facts.direction, source: facts.source },
      ...{ atMs: facts.atMs, ms: facts.ms, method, host, status: facts.status },
      target: this.#shownTarget ?? MASK,
      ...{ requestBytes: facts.requestBytes, responseBytes: facts.responseBytes },
      recorded: this.bodies === undefined ? "head" : "bodies",
      ...(agent === undefined ? {} : { agent }),
      ...(verdict === undefined ? {} : { verdict }),
      ...(rule === undefined ? {} : { rule }),
      ...(failure === undefined ? {} : { failure }),
      ...(replayOf === undefined ? {} : { replayOf }),
    };
  }

  /** Whole fields, as many as there is room for. */
  #kept(fields: readonly string[], masks: FieldMasks | undefined): string[] {
    const kept: string[] = [];
    let bytes = 0;
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i]!;
      const value = fields[i + 1]!;
      bytes += name.length + value.length + 2;
      if (bytes > HEAD_BYTES_KEPT_MAX) {
        this.#isCut = true;
        return kept;
      }
      kept.push(name, masks === undefined ? value : masks.mask(name, value));
    }
    return kept;
  }
}

function masked(fields: readonly string[], masks: FieldMasks): string[] {
  return fields.map((text, i) => i % 2 === 0 ? text : masks.mask(fields[i - 1]!, text));
}

/** A joined text shares memory with none of its parts. No part holds a line end: all were checked when they were read. */
function ownText(lines: readonly string[]): string {
  return lines.join("\n");
}

function lengthOf(fields: readonly string[]): number {
  let length = fields.length * 2;
  for (let i = 0; i < fields.length; i++) length += fields[i]!.length;
  return length;
}
