/**
 * Calls of agents: to the service of another agent (east-west), and to the outside (egress).
 *
 * Who calls is known from the session, by the token, and never from an address. The token says what may be called at
 * all; without a word in it the answer is no. A call to the outside must be allowed by a rule besides.
 *
 * @module
 */
import { mayReach, type TokenClaims } from "../auth/token.ts";
import { formatAddress } from "../egress/address_class.ts";
import type { EgressPolicy } from "../egress/egress_policy.ts";
import { parseEgressHost } from "../egress/egress_rule.ts";
import { dialEgress, type EgressRefusal } from "../egress/exit.ts";
import { boundedLookup, type Lookup } from "../egress/lookup.ts";
import type { Attachment, Registry } from "../routing/registry.ts";
import { connectRaw } from "../runtime/connect_tcp.ts";
import { isServiceName } from "../service_name.ts";
import { acceptTcp, type ConnectionFacts, StreamRefusal } from "../tcp/connect.ts";
import { relay, type RelayFacts } from "../tcp/relay.ts";
import type { ErrorName } from "../wire/errors.ts";
import { decodeFields, encodeFields } from "../wire/head.ts";
import type { Call } from "./admission.ts";
import { type ConnectionRecord, type Connections, resetFailure } from "./connections.ts";
import { DENIED, type Firewall } from "./firewall.ts";
import { connectionEnds, egressEnds } from "./flows.ts";
import type { InnerDoor } from "./inner_door.ts";
import type { Passage, PassageEnds } from "./passage.ts";

export interface CallsOptions {
  readonly registry: Registry;
  readonly connections: Connections;
  readonly inner: InnerDoor;
  readonly egress: EgressPolicy;
  /** For the name, the dial and all addresses together. */
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Calls of all agents together. */
  readonly callsMax: number;
  /** Judges every call; without, the token alone decides. */
  readonly firewall?: Firewall | undefined;
}

/** What one token may have of all calls: a container that leaves its calls open keeps no other from calling. */
const CALLS_SHARE_MAX = 1 / 4;

/** Names that are looked up at once for one token, and that wait: those that never resolve keep slots of the resolver. */
export const LOOKUPS_PER_TOKEN_MAX = 16;
const LOOKUPS_WAITING_PER_TOKEN_MAX = 256;

/** The host name is of the caller's making: no more of it is written down. */
const HOST_CHARS_SHOWN = 253;

export class Calls {
  readonly #options: CallsOptions;
  readonly #lookup = boundedLookup();
  /** Calls that are open, by the id of the token. */
  readonly #callsOf = new Map<string, number>();
  /** The share of the look-up; bounded, since this gateway signed the tokens. */
  readonly #lookupOf = new Map<string, Lookup>();

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  /** Answers a call, or resets its stream. @throws {ProtocolError} When its head is none. */
  take(call: Call): void {
    const { kind } = call.open;
    const { connections, callsMax } = this.#options;
    const own = this.#callsOf.get(call.caller.id) ?? 0;
    if (connections.callsOpen >= callsMax || own >= Math.max(1, callsMax * CALLS_SHARE_MAX)) {
      connections.dropCall();
      return call.stream.reset("overloaded", "Too many calls are open at the gateway");
    }
    if (kind === "tcp") return this.#toService(call);
    if (kind === "egress") return this.#toOutside(call);
    call.stream.reset("refused", "Agents open raw connections and calls to the outside, nothing else");
  }

  /** east-west: identify → decide → select → relay → record. */
  #toService(call: Call): void {
    const { registry, inner, firewall } = this.#options;
    const { stream, open, caller, from } = call;
    const { service } = open;
    const kind = isServiceName(service) ? registry.kindOf(service) : undefined;
    // Names that nobody serves never become labels: a caller can make up as many as it likes.
    const record = this.#recorder(caller, {
      ...{ direction: "east-west", source: caller.name, service: kind === undefined ? "" : service },
    });
    const refuse = (code: ErrorName, detail: string): void => {
      stream.reset(code, detail);
      record({ failure: code, detail });
    };
    if (!mayReach(caller, service)) {
      const shown = JSON.stringify(service.slice(0, 63));
      const detail = `The token of ${caller.name} does not let it reach ${shown}: mint one with --reach`;
      const to = kind === undefined ? undefined : registry.select(service, undefined, kind);
      if (to === undefined) firewall?.unserved(from, service, "token");
      else firewall?.refused(connectionEnds(from, "", service, to), "token", detail);
      return refuse("denied", detail);
    }
    if (kind === undefined) {
      firewall?.unserved(from, service, "implicit");
      return refuse("unknownService", `No agent serves ${service}`);
    }
    if (kind === "http") {
      const inside = { caller, from, service };
      return inner.take(
        stream,
        open,
        inside,
        (facts) => record({ ...connectionEnd(facts), carriesHttp: true }),
      );
    }
    const head = encodeFields(["caller", caller.name, "namespace", caller.namespace]);
    let tried: Attachment | undefined;
    for (let attempt = 1; attempt <= 2; attempt++) {
      const attachment = registry.select(service, tried?.session, "tcp");
      if (attachment === undefined) break;
      const { session, agent } = attachment;
      const { passage, denial } = this.#admit(connectionEnds(from, "", service, attachment), attempt === 1);
      if (denial !== undefined) {
        stream.reset(denial.code, denial.detail);
        return record({ failure: denial.failure, detail: denial.detail, agent, passage });
      }
      const cutOff = relay({
        ...{ caller: stream, body: open.body, session, service, head },
        onConnected: () => firewall?.connected(passage),
        onDone: (facts) => record({ ...relayEnd(facts), agent, passage }),
      });
      if (cutOff !== undefined) {
        if (passage !== undefined) passage.exchange = { deny: (detail) => cutOff("denied", detail) };
        return;
      }
      firewall?.end(passage);
      tried = attachment;
    }
    refuse("targetUnreachable", `No agent serves ${service} right now`);
  }

  /** decide: whether the caller has to wait, and what the policy says. */
  #admit(ends: PassageEnds, first: boolean): { passage?: Passage; denial?: Denial } {
    const { firewall } = this.#options;
    if (firewall === undefined) return {};
    const limited = first ? firewall.limit(ends) : undefined;
    if (limited !== undefined) {
      return { denial: { code: "overloaded", failure: "rate_limited", detail: limited.detail } };
    }
    const passage = firewall.admit(ends);
    if (passage.judgement.verdict !== "dropped") return { passage };
    return { passage, denial: { code: "denied", failure: "denied", detail: DENIED } };
  }

  /** egress: identify → decide → resolve → decide again by the address → dial that address → splice → record. */
  #toOutside(call: Call): void {
    const { egress, connectTimeoutMs, idleTimeoutMs, firewall } = this.#options;
    const { stream, open, caller, from } = call;
    const { host, port } = destinationOf(open.head);
    const destination = `${host.slice(0, HOST_CHARS_SHOWN)}:${port}`;
    const record = this.#recorder(caller, {
      ...{ direction: "egress", source: caller.name, service: "", destination },
    });
    const ends = egressEnds(from, plainHost(host), port);
    if (!caller.egress) {
      const detail = `The token of ${caller.name} allows no calls to the outside: mint one with --egress`;
      firewall?.refused(ends, "token", detail);
      stream.reset("denied", detail);
      return record({ failure: "denied", detail });
    }
    // What the gateway's own rules refuse is refused by the exit, which says why: no policy is asked.
    const { passage, denial } = egress.judgeName(host, port).allowed ? this.#admit(ends, true) : {};
    if (denial !== undefined) {
      stream.reset(denial.code, denial.detail);
      return record({ failure: denial.failure, detail: denial.detail, passage });
    }
    const abort = new AbortController();
    /** An address that the policy refused to dial. */
    let refusedAddress: string | undefined;
    const cutOff = acceptTcp({
      ...{ stream, open, address: destination, idleTimeoutMs },
      // The exit has its own clock for all that it does.
      connectTimeoutMs: connectTimeoutMs + 1_000,
      connect: async (onRead) => {
        const dialled = await dialEgress({
          ...{ host, port, policy: egress, lookup: this.#lookupFor(caller.id), signal: abort.signal },
          timeoutMs: connectTimeoutMs,
          mayDial: (address) => {
            if (passage === undefined || firewall!.mayDial(passage, address)) return true;
            refusedAddress = address;
            return false;
          },
          connect: (address, at) => connectRaw({ host: address, port: at }, onRead),
        });
        const isRefused = "refusal" in dialled && dialled.refusal.code === "denied";
        const judged = "address" in dialled ? dialled.address : isRefused ? refusedAddress : undefined;
        // Tells of a rule about that address, and cuts the call off if it refuses.
        if (passage !== undefined && judged !== undefined) firewall!.dials(passage, judged);
        if ("refusal" in dialled) throw refusalOf(dialled.refusal);
        return dialled.socket;
      },
      onConnected: () => firewall?.connected(passage),
      onDone: (facts) => {
        abort.abort();
        const { error } = facts;
        if (error instanceof StreamRefusal && error.code === "denied") {
          firewall?.refused(ends, "egressRule", error.message);
        }
        record({ ...connectionEnd(facts), passage });
      },
    });
    if (passage !== undefined) passage.exchange = { deny: (detail) => cutOff("denied", detail) };
  }

  #lookupFor(id: string): Lookup {
    const known = this.#lookupOf.get(id);
    if (known !== undefined) return known;
    const limits = { runningMax: LOOKUPS_PER_TOKEN_MAX, waitingMax: LOOKUPS_WAITING_PER_TOKEN_MAX };
    // What runs cannot be called off, so its share is given back only when it ends.
    const never = new AbortController().signal;
    const made = boundedLookup((host) => this.#lookup(host, never), limits);
    this.#lookupOf.set(id, made);
    return made;
  }

  /** Counts a call from here until what it returns is told its end, which it writes down. */
  #recorder(
    { id }: TokenClaims,
    known: Pick<ConnectionRecord, "direction" | "source" | "service" | "destination">,
  ): (end: RecordEnd) => void {
    const { connections } = this.#options;
    const startMs = performance.now();
    connections.beginCall();
    this.#callsOf.set(id, (this.#callsOf.get(id) ?? 0) + 1);
    return (end) => {
      const left = this.#callsOf.get(id)! - 1;
      if (left > 0) this.#callsOf.set(id, left);
      else this.#callsOf.delete(id);
      connections.record({ detail: "", inBytes: 0, outBytes: 0, startMs, ...known, ...end });
    };
  }
}

/** The gateway's own network is not for the container to know: the rule that said no is in the log alone. */
function refusalOf({ code, message }: EgressRefusal): StreamRefusal {
  const told = code === "denied" ? "The gateway does not allow this destination: its log says why" : "";
  return new StreamRefusal(code, message, told);
}

/** Why a call is refused: for the caller, and for the record. */
interface Denial {
  readonly code: ErrorName;
  readonly failure: string;
  readonly detail: string;
}

type RecordEnd = Partial<ConnectionRecord> & Pick<ConnectionRecord, "failure">;

/** Of a connection that was dialled here: what was read from the target goes out to the caller. */
function connectionEnd(facts: ConnectionFacts): RecordEnd {
  const failure = facts.by === "closed"
    ? undefined
    : facts.by === "idle"
    ? "idle"
    : facts.by === "stream"
    ? facts.code === "cancelled" ? "caller_reset" : resetFailure(facts.code)
    : facts.code ?? facts.by;
  const detail = facts.error?.message ?? facts.detail;
  return { failure, detail, inBytes: facts.writtenBytes, outBytes: facts.readBytes };
}

function relayEnd(facts: RelayFacts): RecordEnd {
  const failure = facts.by === "closed"
    ? undefined
    : facts.by === "caller"
    ? "caller_reset"
    : resetFailure(facts.code);
  return { failure, detail: facts.detail, inBytes: facts.readBytes, outBytes: facts.writtenBytes };
}

/** A host as rules write it; what is none stays as it is, cut, and is refused. */
function plainHost(host: string): string {
  const parsed = parseEgressHost(host);
  if (parsed === undefined) return host.slice(0, HOST_CHARS_SHOWN);
  return parsed.kind === "name" ? parsed.name : formatAddress(parsed.address);
}

/** Where an egress stream wants to go. What is no port is 0, which no rule allows. */
function destinationOf(head: Uint8Array): { host: string; port: number } {
  const fields = decodeFields(head);
  const value = (name: string): string => {
    const at = fields.findIndex((field, index) => index % 2 === 0 && field === name);
    return at < 0 ? "" : fields[at + 1]!;
  };
  const digits = value("port");
  const port = /^[1-9]\d{0,4}$/.test(digits) && Number(digits) <= 65_535 ? Number(digits) : 0;
  return { host: value("host"), port };
}
