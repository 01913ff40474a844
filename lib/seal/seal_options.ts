/**
 * What is asked of a seal and what comes of it.
 *
 * @module
 */

/** Where TCP goes to or comes from. */
export interface TcpEndpoint {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** What the agent needs; everything else of its kind is given up. */
export interface SealOptions {
  /** TCP that is dialled: gateways, the proxies on the way to them, and targets. */
  readonly connect: readonly TcpEndpoint[];
  /** TCP that is listened on: the agent's doors. Port 0 allows any port that the kernel picks, any number of times. */
  readonly listen: readonly TcpEndpoint[];
  /** Paths of unix sockets that are dialled. */
  readonly connectUnix: readonly string[];
  /** Paths of unix sockets that are listened on. Their folders must be there. */
  readonly listenUnix: readonly string[];
  /** Files that are read once the agent is sealed. Only Deno holds them. */
  readonly read: readonly string[];
}

/** Whether the agent is locked in. Both texts are for a log line: lower case, no full stop. */
export type SealOutcome = {
  readonly kind: "sealed";
  /** What it may still do. */
  readonly detail: string;
} | {
  readonly kind: "unavailable";
  /** Why not, and what to do about it. */
  readonly reason: string;
};
