/**
 * The accepting side of a raw stream: dials what stands behind it and splices the two.
 *
 * The opener is told with an empty HEAD that the connection stands, or with a reset why not. A target that wants to
 * know who calls gets a PROXY protocol header in front of everything else.
 *
 * @module
 */
import type { Stream } from "../mux/stream.ts";
import { type Connect, dialSocket } from "../runtime/byte_socket.ts";
import { ConnectError, connectError, type ConnectErrorCode } from "../runtime/connect_tls.ts";
import type { ErrorName } from "../wire/errors.ts";
import { encodeFields } from "../wire/head.ts";
import type { OpenPayload } from "../wire/open.ts";
import type { CutOff } from "./relay.ts";
import { Splice, type SpliceFacts } from "./splice.ts";

/** What the opener is told when the dial fails: a code, never an address or a message. */
const RESET_CODES: Record<ConnectErrorCode, ErrorName> = {
  refused: "targetRefused",
  timeout: "targetTimeout",
  dns: "targetDns",
  tls: "targetTls",
  reset: "targetReset",
  unreachable: "targetUnreachable",
};

/** The head that says that the connection stands. */
const CONNECTED = encodeFields([]);

/** A connection that is refused on this side of the dial. */
export class StreamRefusal extends Error {
  override name = "StreamRefusal";
  /**
   * @param message For the log of this side.
   * @param told What the opener is told: no address that it did not name.
   */
  constructor(readonly code: ErrorName, message: string, readonly told: string) {
    super(message);
  }
}

/** How a connection of the accepting side ended; `error` when it was never made. */
export type ConnectionFacts = SpliceFacts & { readonly error: ConnectError | StreamRefusal | undefined };

export interface AcceptTcpOptions {
  /** Has no sink yet. */
  readonly stream: Stream;
  readonly open: OpenPayload;
  readonly connect: Connect;
  /** What is dialled, for the messages. */
  readonly address: string;
  readonly connectTimeoutMs: number;
  /** See `SpliceOptions.idleTimeoutMs`. */
  readonly idleTimeoutMs: number;
  /** Written to the target before anything else. */
  readonly preface?: Uint8Array;
  /** The connection stands. */
  onConnected?(): void;
  /** Called once, when all is over. The message of its error may name the target. */
  onDone(facts: ConnectionFacts): void;
}

/**
 * Dials for a stream that was opened here, and splices. All that follows is driven by the two.
 *
 * @returns Cuts it off.
 */
export function acceptTcp(options: AcceptTcpOptions): CutOff {
  const { stream, open, connect, address, preface } = options;
  let failure: ConnectionFacts["error"];
  let abort = (): void => {};
  const splice = new Splice({
    idleTimeoutMs: options.idleTimeoutMs,
    brokenCode: "targetReset",
    onDone: (facts) => {
      abort();
      options.onDone({ ...facts, error: failure });
    },
  });
  splice.begin(stream);
  stream.attach(splice);
  if (open.body.length > 0 || stream.remoteEnded) splice.onData(open.body, stream.remoteEnded);
  abort = dialSocket(connect, address, options.connectTimeoutMs, {
    onConnect: (socket) => {
      if (splice.done) return socket.reset();
      stream.sendHead(CONNECTED);
      if (preface !== undefined) socket.write(preface);
      options.onConnected?.();
      splice.join(socket);
    },
    onFailure: (cause) => {
      if (cause instanceof StreamRefusal) {
        failure = cause;
        return splice.stop(cause.code, cause.told);
      }
      failure = cause instanceof ConnectError ? cause : connectError(cause, address, false);
      splice.stop(RESET_CODES[failure.code], "");
    },
  });
  return (code, told) => splice.stop(code, told);
}
