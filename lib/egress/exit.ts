/**
 * The exit: where a call of a container leaves for the outside, from the gateway.
 *
 * A name is judged, looked up once, and every address that came back is judged; then those very addresses are dialled,
 * as addresses. So an answer of the resolver that changes between the check and the dial (DNS rebinding) has no
 * effect: there is no second question. What the network does is an answer here, never an error that is thrown.
 *
 * Source: RFC 8305 §4 (address families by turns).
 *
 * @module
 */

import type net from "node:net";
import { formatAddress, parseAddress } from "./address_class.ts";
import type { EgressPolicy } from "./egress_policy.ts";
import { formatEgressTarget, parseEgressHost } from "./egress_rule.ts";
import { type Lookup, LookupOverloadError } from "./lookup.ts";

/** Addresses of a name that are judged and dialled; what comes after them is not looked at. */
export const ADDRESSES_MAX = 16;

/** What to call, and with what. */
export interface DialEgressOptions {
  /** What the container asked for: untrusted. */
  readonly host: string;
  readonly port: number;
  readonly policy: EgressPolicy;
  /** From `boundedLookup`, one for the process. Asked once at most, and never for an address. */
  readonly lookup: Lookup;
  /**
   * Dials an address in canonical text, IPv6 without brackets. The socket must still be connecting, as that of
   * `net.connect` is.
   */
  readonly connect: (address: string, port: number) => net.Socket;
  /** Whether an address that the rules of the gateway allow may be dialled. @default each may */
  readonly mayDial?: ((address: string) => boolean) | undefined;
  /** For the look-up and all dials together. */
  readonly timeoutMs: number;
  /** Ends it: what is half open is destroyed and the answer is `cancelled`. */
  readonly signal?: AbortSignal | undefined;
}

/** What became of a call. */
export type EgressDial = EgressConnection | { readonly refusal: EgressRefusal };

/** The connection stands. */
export interface EgressConnection {
  /** Connected; the caller's. It has a listener for "error" already: "close" always follows one. */
  readonly socket: net.Socket;
  /** What was dialled. */
  readonly address: string;
  /** The rule that allowed it, and its place in the list. */
  readonly rule: string;
  readonly ruleIndex: number;
}

/** There is no connection. */
export interface EgressRefusal {
  /** Each is a code of the wire too. `cancelled` only after an abort; `overloaded` when too many names are looked up. */
  readonly code: EgressRefusalCode;
  /** For the operator, not for the container: it may hold addresses of the gateway's own network. */
  readonly message: string;
}

/** Why there is no connection. */
export type EgressRefusalCode =
  | "denied"
  | "targetDns"
  | "targetRefused"
  | "targetTimeout"
  | "targetUnreachable"
  | "cancelled"
  | "overloaded";

/** An address that may be dialled, and by which rule. */
interface Candidate {
  readonly address: string;
  readonly rule: string;
  readonly ruleIndex: number;
}

/** Why one address could not be connected to. */
interface Failure {
  readonly code: "targetRefused" | "targetTimeout" | "targetUnreachable";
  readonly words: string;
}

/** The one that says most about the target comes first: an answer, then silence, then no way to it. */
const MOST_TELLING = ["targetRefused", "targetTimeout", "targetUnreachable"] as const;

/**
 * Judges a call, looks its name up and dials.
 *
 * @returns The connection, or why there is none: `denied` before any look-up when the host is none or has no rule, and
 *   after it when no address may be dialled.
 */
export async function dialEgress(options: DialEgressOptions): Promise<EgressDial> {
  const { host, port, policy, signal, timeoutMs } = options;
  const named = policy.judgeName(host, port);
  const parsed = parseEgressHost(host);
  if (!named.allowed) return refusal("denied", named.message);
  if (parsed === undefined) return refusal("denied", "egress is refused: no host");
  const target = formatEgressTarget(parsed, port);
  const endsAtMs = performance.now() + timeoutMs;
  const stop = new AbortController();
  const onAbort = (): void => stop.abort();
  const timer = setTimeout(onAbort, timeoutMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) stop.abort();
  try {
    const found = parsed.kind === "address"
      ? [formatAddress(parsed.address)]
      : await addressesOf(options.lookup, parsed.name, stop.signal);
    const answer = "refusal" in found
      ? found
      : await dialAll({ ...options, target, endsAtMs, stop: stop.signal }, found);
    if (!signal?.aborted) return answer;
    if ("socket" in answer) answer.socket.destroy();
    return refusal("cancelled", `egress to ${target} has been given up: the container left`);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

function refusal(code: EgressRefusalCode, message: string): { readonly refusal: EgressRefusal } {
  return { refusal: { code, message } };
}

/** Asks once, and waits no longer than until `stop`. */
async function addressesOf(
  lookup: Lookup,
  name: string,
  stop: AbortSignal,
): Promise<readonly string[] | { readonly refusal: EgressRefusal }> {
  const stopped = Promise.withResolvers<undefined>();
  const onStop = (): void => stopped.resolve(undefined);
  stop.addEventListener("abort", onStop, { once: true });
  if (stop.aborted) onStop();
  try {
    const asked = stop.aborted ? [] : lookup(name, stop);
    const found = await Promise.race([stopped.promise, asked]);
    if (found === undefined) return refusal("targetDns", `cannot resolve ${name}: no answer in time`);
    if (found.length === 0) return refusal("targetDns", `cannot resolve ${name}: it has no address`);
    return found.slice(0, ADDRESSES_MAX);
  } catch (error) {
    if (stop.aborted) return refusal("targetDns", `cannot resolve ${name}: no answer in time`);
    const code = error instanceof LookupOverloadError ? "overloaded" : "targetDns";
    return refusal(code, `cannot resolve ${name}: ${causeOf(error)}`);
  } finally {
    stop.removeEventListener("abort", onStop);
  }
}

/** The error code of the operating system, or else the message. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown error";
  const code: unknown = Reflect.get(error, "code");
  return typeof code === "string" ? code : error.message;
}

interface DialAllOptions extends DialEgressOptions {
  readonly target: string;
  readonly endsAtMs: number;
  readonly stop: AbortSignal;
}

async function dialAll(options: DialAllOptions, found: readonly string[]): Promise<EgressDial> {
  const { host, port, policy, target, endsAtMs, stop } = options;
  const candidates: Candidate[] = [];
  const denials: string[] = [];
  for (const text of found) {
    const verdict = policy.judgeAddress(host, text, port);
    const parsed = parseAddress(text);
    if (!verdict.allowed) denials.push(verdict.message);
    // What is dialled is written anew from the bits that were judged.
    const address = parsed && formatAddress(parsed);
    if (!verdict.allowed || address === undefined) continue;
    if (options.mayDial?.(address) === false) {
      denials.push(`egress to ${target} is refused: the policy does not allow ${address}`);
      continue;
    }
    if (candidates.every((known) => known.address !== address)) candidates.push({ ...verdict, address });
  }
  if (candidates.length === 0) return refusal("denied", denials[0] ?? `egress to ${target} is refused`);
  const failures: (Failure & { address: string })[] = [];
  const byTurns = interleave(candidates);
  for (const [index, { address, rule, ruleIndex }] of byTurns.entries()) {
    if (stop.aborted) break;
    // A silent address takes its part of the time, never that of those after it.
    const partMs = Math.max(1, (endsAtMs - performance.now()) / (byTurns.length - index));
    const dialled = await dialOne(options, address, partMs);
    if ("socket" in dialled) return { socket: dialled.socket, address, rule, ruleIndex };
    failures.push({ ...dialled, address });
  }
  const code = MOST_TELLING.find((each) => failures.some((failure) => failure.code === each));
  const told = failures.map(({ address, words }) => `${address} ${words}`);
  if (told.length < byTurns.length) told.push(`${byTurns.length - told.length} more were not tried in time`);
  if (denials.length > 0) told.push(`${denials.length} more may not be dialled`);
  return refusal(code ?? "targetTimeout", `cannot connect to ${target}: ${told.join(", ")}`);
}

/** The two families by turns, the one of the first address first; within a family the order stays. */
function interleave(candidates: readonly Candidate[]): readonly Candidate[] {
  const isV6 = ({ address }: Candidate): boolean => address.includes(":");
  const [first] = candidates;
  if (first === undefined) return [];
  const same = candidates.filter((each) => isV6(each) === isV6(first));
  const other = candidates.filter((each) => isV6(each) !== isV6(first));
  return Array.from(
    { length: Math.max(same.length, other.length) },
    (_, index) => [same[index], other[index]],
  )
    .flat()
    .filter((each) => each !== undefined);
}

/** Dials one address. A socket that does not get connected is destroyed before this settles. */
function dialOne(
  { connect, port, stop }: DialAllOptions,
  address: string,
  partMs: number,
): Promise<{ readonly socket: net.Socket } | Failure> {
  const { promise, resolve } = Promise.withResolvers<{ readonly socket: net.Socket } | Failure>();
  let socket: net.Socket;
  try {
    socket = connect(address, port);
  } catch (error) {
    // Out of sockets, for one, may be told this way. What is no error of the system is a bug.
    if (!/^E[A-Z0-9]+$/.test(causeOf(error))) throw error;
    return Promise.resolve(failureOf(causeOf(error)));
  }
  const finish = (outcome: { readonly socket: net.Socket } | Failure): void => {
    clearTimeout(timer);
    stop.removeEventListener("abort", onStop);
    socket.off("connect", onConnect);
    socket.off("error", onError);
    socket.off("close", onClose);
    if (!("socket" in outcome)) socket.destroy();
    resolve(outcome);
  };
  const onConnect = (): void => finish({ socket });
  const onClose = (): void => finish({ code: "targetUnreachable", words: "closed the connection at once" });
  const onError = (error: Error): void => finish(failureOf(causeOf(error)));
  const onStop = (): void => finish({ code: "targetTimeout", words: "did not answer in time" });
  const timer = setTimeout(onStop, partMs);
  stop.addEventListener("abort", onStop, { once: true });
  // It stays: an error between here and the caller's own listener would end the process.
  socket.on("error", () => {});
  socket.on("error", onError);
  socket.on("connect", onConnect);
  socket.on("close", onClose);
  return promise;
}

function failureOf(cause: string): Failure {
  if (cause === "ECONNREFUSED" || cause === "ECONNRESET") {
    return { code: "targetRefused", words: `refused the connection (${cause})` };
  }
  if (cause === "ETIMEDOUT") return { code: "targetTimeout", words: `did not answer in time (${cause})` };
  return { code: "targetUnreachable", words: `could not be reached (${cause})` };
}
