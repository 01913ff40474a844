/**
 * The error codes of the wire, and the error for a peer that breaks the protocol.
 *
 * A code travels in RESET (ends one stream) and in GOAWAY (ends the session). SPEC.md §7 lists them with their
 * meaning for the receiver.
 *
 * @module
 */

/** Every code that RESET or GOAWAY may carry. A receiver treats a code that it does not know as `internal`. */
export const ErrorCode = {
  none: 0x00,
  protocol: 0x01,
  internal: 0x02,
  flowControl: 0x03,
  frameTooLong: 0x04,
  refused: 0x05,
  cancelled: 0x06,
  unknownService: 0x07,
  targetRefused: 0x08,
  targetTimeout: 0x09,
  targetUnreachable: 0x0a,
  targetTls: 0x0b,
  targetReset: 0x0c,
  badResponse: 0x0d,
  overloaded: 0x0e,
  version: 0x0f,
  draining: 0x10,
  identity: 0x11,
  keepalive: 0x12,
  badRequest: 0x13,
  targetDns: 0x14,
  denied: 0x15,
} as const;

/** The name of an error code, as logs and metrics write it. */
export type ErrorName = keyof typeof ErrorCode;

/** A code's number on the wire. */
export type ErrorNumber = (typeof ErrorCode)[ErrorName];

const NAMES = new Map<number, ErrorName>(
  Object.entries(ErrorCode).map(([name, code]) => [code, name as ErrorName]),
);

/** The name of a code off the wire; `internal` for one that this version does not know. */
export function errorName(code: number): ErrorName {
  return NAMES.get(code) ?? "internal";
}

/**
 * The peer broke the protocol: the session ends with GOAWAY and this code.
 *
 * Nothing of the frame that caused it has been kept or passed on.
 */
export class ProtocolError extends Error {
  override name = "ProtocolError";
  constructor(readonly code: ErrorName, message: string) {
    super(message);
  }
}
