/**
 * The story of a raw connection: select → open → splice → record. No byte of it is looked at.
 *
 * Where several agents serve the service, the visitor is not read before one of them has said that its target stands,
 * so that an agent whose target is down can be passed over; with one agent nothing is waited for.
 *
 * @module
 */
import type { Logger } from "../log.ts";
import type { ConnectionDirection, GatewayMetrics } from "../metrics/gateway_metrics.ts";
import type { Session } from "../mux/session.ts";
import { ruleNameOf } from "../policy/flow.ts";
import type { Attachment, Registry } from "../routing/registry.ts";
import type { ByteSocket } from "../runtime/byte_socket.ts";
import { Splice, type SpliceFacts } from "../tcp/splice.ts";
import type { ErrorName } from "../wire/errors.ts";
import { encodeFields } from "../wire/head.ts";
import { DENIED, type Firewall } from "./firewall.ts";
import { connectionEnds } from "./flows.ts";
import type { Passage } from "./passage.ts";
import type { TrafficWatch } from "./traffic_watch.ts";

/** A connection of a visitor that came in at a door. */
export interface Incoming {
  readonly socket: ByteSocket;
  readonly service: string;
  /** What the agent is told: flat names and values, see lib/wire/SPEC.md §5. */
  readonly fields: string[];
  /** Bytes that were read from it already. */
  readonly first?: Uint8Array;
}

/** How a connection ended, for the record. */
export interface ConnectionRecord {
  readonly direction: ConnectionDirection;
  /** Empty when it is none that this gateway knows: labels take only bounded values. */
  readonly service: string;
  /** Who called: an address, or the name of an agent. */
  readonly source: string;
  /** The agent that served it, if one was found. */
  readonly agent?: string;
  /** `undefined` when both sides ended it in order. */
  readonly failure: string | undefined;
  readonly detail: string;
  readonly inBytes: number;
  readonly outBytes: number;
  readonly startMs: number;
  /** Egress: where to. */
  readonly destination?: string;
  /** What was judged of it. */
  readonly passage?: Passage | undefined;
  /** Its bytes are requests, which are recorded one by one. */
  readonly carriesHttp?: boolean;
}

export interface ConnectionsOptions {
  readonly registry: Registry;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
  /** One line for every connection, not only for those that failed. */
  readonly logAccess: boolean;
  readonly idleTimeoutMs: number;
  /** Judges every connection; without, none is. */
  readonly firewall?: Firewall | undefined;
  /** What people see of the traffic. */
  readonly traffic?: TrafficWatch | undefined;
}

/** How long an agent may take to dial. It has a limit of its own, which is shorter; this one is for those that lie. */
const STAND_TIMEOUT_MS = 60_000;

/** Links that are tried for one connection. */
const LINKS_TRIED_MAX = 2;

export class Connections {
  readonly #options: ConnectionsOptions;
  /** Of visitors. */
  readonly #open = new Set<Splice>();
  /** Calls of agents that are under way. */
  #calls = 0;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /** Calls of agents that are open. */
  get callsOpen(): number {
    return this.#calls;
  }

  /** A call was turned away, as too many are open. */
  dropCall(): void {
    this.#options.metrics.dropped("calls");
  }

  /** A call of an agent has begun, which `record` will end. */
  beginCall(): void {
    this.#calls++;
  }

  /** Takes a visitor's connection and brings it to an agent of its service. */
  take(incoming: Incoming): void {
    this.#try(incoming, performance.now(), 1, undefined);
  }

  /** Settles when no connection is open; cuts off those that are after the grace. */
  async finish(graceMs: number): Promise<void> {
    const endMs = performance.now() + graceMs;
    while (this.#open.size + this.#calls > 0 && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, FINISH_POLL_MS));
    }
    for (const splice of this.#open) splice.stop("cancelled", "The gateway is stopping");
  }

  /** Writes down how a connection ended: metrics, and a line in the log. */
  record(record: ConnectionRecord): void {
    const { metrics, log, logAccess, traffic } = this.#options;
    const { direction, service, failure, inBytes, outBytes, startMs, passage, carriesHttp: _, ...rest } =
      record;
    traffic?.connection(record);
    if (passage !== undefined) {
      const ok = failure === undefined || passage.open !== undefined;
      this.#options.firewall!.end(passage, { ok, inBytes, outBytes });
    }
    if (direction !== "north-south") this.#calls--;
    metrics.connection(service, direction, failure ?? "closed", inBytes, outBytes);
    if (failure === undefined && !logAccess) return;
    const ms = Math.round((performance.now() - startMs) * 1e3) / 1e3;
    const judged = passage === undefined ? {} : judgedFields(passage);
    const fields = { direction, service, ...rest, ...judged, inBytes, outBytes, ms };
    if (failure === undefined) log.info("connection", fields);
    else if (ENDS_BY_CALLER.has(failure)) log.debug("connection cut off", { ...fields, failure });
    else log.warn("connection failed", { ...fields, failure });
  }

  #try(incoming: Incoming, startMs: number, attempt: number, tried: Session | undefined): void {
    const { registry, idleTimeoutMs, firewall } = this.#options;
    const { socket, service, fields, first } = incoming;
    const attachment = registry.select(service, tried, "tcp");
    if (attachment === undefined) return this.#unavailable(incoming, startMs);
    const { session } = attachment;
    const ends = connectionEnds(undefined, socket.remoteAddress, service, attachment);
    const limited = attempt === 1 ? firewall?.limit(ends) : undefined;
    const passage = limited === undefined ? firewall?.admit(ends) : undefined;
    if (limited !== undefined || passage?.judgement.verdict === "dropped") {
      return this.#deny(incoming, startMs, attachment, passage, limited?.detail);
    }
    const mayRetry = attempt < LINKS_TRIED_MAX && registry.links(service, "tcp") > 1;
    let splice: Splice | undefined = undefined as Splice | undefined;
    splice = new Splice({
      idleTimeoutMs,
      standTimeoutMs: STAND_TIMEOUT_MS,
      brokenCode: "cancelled",
      onConnected: () => {
        firewall?.connected(passage);
        if (mayRetry) splice!.join(socket, first);
      },
      onDone: (facts) => {
        this.#open.delete(splice!);
        if (mayRetry && !facts.connected && facts.by === "stream") {
          this.#retrying(incoming, attachment, facts);
          firewall?.end(passage);
          return this.#try(incoming, startMs, attempt + 1, session);
        }
        // Before the target stood there was nothing to splice: what is told to the visitor is the reset.
        socket.reset();
        this.#record(incoming, startMs, attachment, facts, passage);
      },
    });
    if (passage !== undefined) passage.exchange = { deny: (detail) => splice!.stop("denied", detail) };
    const stream = session.openStream("tcp", service, encodeFields(fields), false, splice);
    if (stream === undefined) {
      firewall?.end(passage);
      return attempt < LINKS_TRIED_MAX
        ? this.#try(incoming, startMs, attempt + 1, session)
        : this.#unavailable(incoming, startMs);
    }
    this.#open.add(splice);
    splice.begin(stream);
    if (!mayRetry) splice.join(socket, first);
  }

  /** It is the same connection: it is counted once, when it is over. */
  #retrying({ socket, service }: Incoming, { agent }: Attachment, facts: SpliceFacts): void {
    const { metrics, log } = this.#options;
    metrics.retry(service);
    const { detail } = facts;
    const fields = { service, source: socket.remoteAddress, agent, failure: failureOf(facts), detail };
    log.warn("connection tried on another link", fields);
  }

  #deny(
    { socket, service }: Incoming,
    startMs: number,
    { agent }: Attachment,
    passage: Passage | undefined,
    limited: string | undefined,
  ): void {
    const source = socket.remoteAddress;
    socket.reset();
    this.record({
      ...{ direction: "north-south", service, source, agent, passage, startMs, inBytes: 0, outBytes: 0 },
      failure: limited === undefined ? "denied" : "rate_limited",
      detail: limited ?? DENIED,
    });
  }

  #unavailable({ socket, service }: Incoming, startMs: number): void {
    const kind = this.#options.registry.kindOf(service);
    const detail = kind === "http"
      ? "The service is HTTP: give it a route instead of a raw door"
      : "No agent serves this right now";
    const source = socket.remoteAddress;
    socket.reset();
    this.record({
      ...{ direction: "north-south", service, source, failure: "unavailable", detail },
      ...{ inBytes: 0, outBytes: 0, startMs },
    });
  }

  #record(
    { socket, service }: Incoming,
    startMs: number,
    { agent }: Attachment,
    facts: SpliceFacts,
    passage: Passage | undefined,
  ): void {
    this.record({
      ...{ direction: "north-south", service, source: socket.remoteAddress, agent, passage, startMs },
      failure: passage?.judgement.verdict === "dropped" ? "denied" : failureOf(facts),
      detail: facts.detail,
      inBytes: facts.readBytes,
      outBytes: facts.writtenBytes,
    });
  }
}

/** What the log says of a judgement. */
export function judgedFields({ judgement }: Passage): Record<string, string> {
  const { verdict, reason, sourceName } = judgement;
  return { from: sourceName, verdict, rule: ruleNameOf(reason) };
}

/** Who calls, and which address of this machine, for the agent. A unix socket has neither. */
export function addressFields(socket: ByteSocket): string[] {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === "") return [];
  return ["source", endpoint(remoteAddress, remotePort), "destination", endpoint(localAddress, localPort)];
}

function endpoint(address: string, port: number): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

const FINISH_POLL_MS = 20;

/** A caller may break off whenever it likes: that is no fault of anybody here. */
const ENDS_BY_CALLER = new Set(["caller_reset", "stopped"]);

/** What a splice at a door says of its end; `undefined` is an orderly one. */
export function failureOf(facts: SpliceFacts): string | undefined {
  if (facts.by === "closed") return undefined;
  if (facts.by === "socket") return "caller_reset";
  if (facts.by === "stream") return resetFailure(facts.code);
  return facts.by;
}

/** A session that ends takes its streams along without a code of theirs. */
export function resetFailure(code: ErrorName | undefined): string {
  return code === undefined || code === "none" ? "link_lost" : code;
}
