/**
 * identify: reads a request once, and says whose it is. Everything after uses that reading.
 *
 * @module
 */
import { clientAddress, type TrustedProxies } from "../auth/client_ip.ts";
import { readRequest, type RequestFault } from "../http/reading.ts";
import type { RequestIds } from "../http/visit.ts";
import type { Arrival } from "../http/visitor_server.ts";
import type { Attachment } from "../routing/registry.ts";
import type { GatewayVisit } from "./flows.ts";
import type { DoorCall } from "./inner_door.ts";

export interface IdentifyOptions {
  readonly trusted: TrustedProxies;
  readonly ids: RequestIds;
  readonly headBytesMax: number;
  /** A request that cannot be read in one way only. */
  onUnreadable(arrival: Arrival, fault: RequestFault, requestId: string): void;
}

/** Who is at the other end of the connection. */
export interface Peer {
  readonly address: string;
  /** It came over TLS. */
  readonly secure: boolean;
  /** The agent that calls; its address says nothing. */
  readonly caller?: Attachment;
}

/** @returns `undefined` when the request cannot be read: it was answered. */
export function identify(options: IdentifyOptions, arrival: Arrival, peer: Peer): GatewayVisit | undefined {
  const { trusted, ids, headBytesMax } = options;
  const id = ids.next();
  const reading = readRequest(arrival.incoming, headBytesMax);
  if ("detail" in reading) {
    options.onUnreadable(arrival, reading, id);
    return undefined;
  }
  const { caller } = peer;
  const made = {
    ...{ arrival, reading, id, caller, startMs: performance.now(), service: "", passage: undefined },
    bodies: undefined,
  };
  if (caller !== undefined) {
    // An agent has no address here, it has a name: an obfuscated identifier. Source: RFC 7239 §6.3.
    const visitor = { peer: `_${caller.agent}`, trusted: false, scheme: "http" as const };
    return { ...made, visitor, address: caller.agent };
  }
  const address = clientAddress(peer.address, reading.forwarded.xForwardedFor, trusted);
  const visitor = {
    peer: trusted.empty ? address : clientAddress(peer.address, undefined, trusted),
    trusted: trusted.includes(peer.address),
    scheme: peer.secure ? "https" as const : "http" as const,
  };
  return { ...made, visitor, address };
}

/** The same for what came by the inner door: its service is known, and so is who sends it. */
export function identifyCall(
  options: IdentifyOptions,
  arrival: Arrival,
  call: DoorCall,
): GatewayVisit | undefined {
  const isReplay = "replayOf" in call;
  const { address, secure } = isReplay ? call : { address: "", secure: false };
  const caller = call.from === undefined ? {} : { caller: call.from };
  const visit = identify(options, arrival, { address, secure, ...caller });
  if (visit === undefined) return undefined;
  visit.service = call.service;
  if (!isReplay) return visit;
  call.onVisit(visit.id);
  return { ...visit, replayOf: call.replayOf };
}
