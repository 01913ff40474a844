/**
 * Connections that leave the container: a socket at a door of the agent becomes a stream to a gateway.
 *
 * The gateway that has least to do is asked first. When it cannot help, and nothing was sent yet, the next one is
 * asked; the door's socket is not read until then, unless there is one gateway only.
 *
 * @module
 */
import type { Session } from "../mux/session.ts";
import type { ByteSocket } from "../runtime/byte_socket.ts";
import { Splice, type SpliceFacts } from "../tcp/splice.ts";
import type { ErrorName } from "../wire/errors.ts";
import { encodeFields } from "../wire/head.ts";

/** Where a connection goes: to the service of another agent, or to a host outside. */
export type Destination = { readonly kind: "tcp"; readonly service: string } | {
  readonly kind: "egress";
  readonly host: string;
  readonly port: number;
};

/**
 * Why a connection never stood: a code of the wire, or what the agent knows by itself; `left`: the program that asked
 * for it was gone first.
 */
export type OutgoingFailure = ErrorName | "no_link" | "not_allowed" | "left";

export interface OutgoingOptions {
  readonly destination: Destination;
  /** Not started, or paused. */
  readonly socket: ByteSocket;
  /** Whether nothing is read from the socket before the other side stands: then `onConnected` joins them. */
  readonly waits: boolean;
  readonly idleTimeoutMs: number;
  /** What of a chunk from the socket goes on; see `SpliceOptions`. */
  readonly take?: (chunk: Uint8Array, answered: boolean) => Uint8Array | undefined;
  /** For each gateway that is asked; see `SpliceOptions`. @default STAND_TIMEOUT_MS */
  readonly standTimeoutMs?: number;
  /** The other side stands. @returns Bytes that go first. */
  onConnected?(): Uint8Array | undefined;
  /** It never stood. The socket is the caller's to close. */
  onFailure(failure: OutgoingFailure, detail: string): void;
  /** It stood, and is over. */
  onDone(facts: SpliceFacts): void;
}

/** How long a gateway may take: it resolves, and dials, or waits for another agent that does. */
export const STAND_TIMEOUT_MS = 60_000;

/** After these the next gateway may know better, and nothing has happened yet. */
const ASK_ANOTHER = new Set<ErrorName | undefined>([
  "refused",
  "unknownService",
  "targetUnreachable",
  "draining",
  "none",
]);

/** Opens a stream for a socket and splices the two. */
export function openOutgoing(sessions: Iterable<Session>, options: OutgoingOptions): void {
  const all = [...sessions];
  const open = all.filter((session) => session.open).sort((a, b) => a.streamsOpen - b.streamsOpen);
  if (open.length > 0) return attempt(open, options, undefined);
  const linked = all.filter((session) => session.ownStreamsMax !== undefined);
  if (linked.length > 0 && linked.every((session) => session.ownStreamsMax === 0)) {
    return options.onFailure(
      "not_allowed",
      "The token lets this agent call nothing: mint one with --reach or --egress",
    );
  }
  if (linked.length > 0) return options.onFailure("overloaded", "Too much is open on every link");
  options.onFailure("no_link", "No gateway is linked right now");
}

function attempt(
  sessions: readonly Session[],
  options: OutgoingOptions,
  last: { code: ErrorName | undefined; detail: string } | undefined,
): void {
  const { destination, socket, onConnected, onFailure, onDone } = options;
  const [session, ...others] = sessions;
  if (session === undefined) {
    const { code = "none", detail = "" } = last ?? {};
    return onFailure(code === "none" ? "no_link" : code, detail);
  }
  const waits = options.waits || others.length > 0;
  const splice: Splice = new Splice({
    idleTimeoutMs: options.idleTimeoutMs,
    standTimeoutMs: options.standTimeoutMs ?? STAND_TIMEOUT_MS,
    brokenCode: "cancelled",
    ...(options.take === undefined ? {} : { take: options.take }),
    onConnected: () => {
      const first = onConnected?.();
      if (waits) splice.join(socket, first);
    },
    onDone: (facts) => {
      if (facts.connected) return onDone(facts);
      if (facts.by === "socket") return onFailure("left", "The program left before the other side stood");
      const failed = { code: facts.code, detail: facts.detail };
      if (waits && ASK_ANOTHER.has(facts.code)) return attempt(others, options, failed);
      attempt([], options, failed);
    },
  });
  const { kind } = destination;
  const service = kind === "tcp" ? destination.service : "";
  const fields = kind === "tcp" ? [] : ["host", destination.host, "port", String(destination.port)];
  const stream = session.openStream(kind, service, encodeFields(fields), false, splice);
  if (stream === undefined) return attempt(others, options, last ?? { code: "refused", detail: "" });
  splice.begin(stream);
  if (!waits) splice.join(socket);
}
