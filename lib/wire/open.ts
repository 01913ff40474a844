/**
 * The payloads of OPEN, HEAD, RESET and GOAWAY, as SPEC.md §4 to §7 give them.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { assert } from "../assert.ts";
import { ErrorCode, type ErrorName, errorName, ProtocolError } from "./errors.ts";
import { FRAME_PAYLOAD_BYTES_MAX, readUint32, writeUint32 } from "./frame.ts";
import { WINDOW_BYTES_MAX } from "./hello.ts";

/** What a stream carries. */
export const StreamKind = { http: 0x01, upgrade: 0x02, tcp: 0x03, egress: 0x04 } as const;
export type StreamKindName = keyof typeof StreamKind;

const KIND_NAMES = new Map<number, StreamKindName>(
  Object.entries(StreamKind).map(([name, kind]) => [kind, name as StreamKindName]),
);

/** The longest service name. */
export const SERVICE_BYTES_MAX = 63;

/** The longest text in RESET and GOAWAY; more is cut off. It is for the log of the other side. */
export const DETAIL_BYTES_MAX = 512;

const NO_BYTES = new Uint8Array(0);

/** OPEN: a stream to a service, by name. Never an address: the map from name to target is the agent's alone. */
export interface OpenPayload {
  /** `undefined` for a kind that this version does not know: the stream is refused, the session lives. */
  kind: StreamKindName | undefined;
  /** `[a-z0-9-]`, 1 to 63 bytes; empty for `egress`, whose head says where to. */
  service: string;
  /** Bytes of body that the other side may send on this stream before it is given credit. */
  windowBytes: number;
  /** The encoded request head; for `tcp` and `egress` an encoded field list. */
  head: Uint8Array;
  /** The first bytes of the body, possibly none. They count against the stream's window. */
  body: Uint8Array;
}

/** What OPEN is made of; often there is no body yet. */
export type OpenParts = Omit<OpenPayload, "body"> & { body?: Uint8Array };

/** Encodes OPEN. The parts are copied. */
export function encodeOpen(open: OpenParts): Uint8Array {
  const { service, head, body = NO_BYTES } = open;
  const payload = new Uint8Array(8 + service.length + head.length + body.length);
  assert(open.kind !== undefined, "a stream is opened with a known kind");
  payload[0] = StreamKind[open.kind];
  writeUint32(payload, 1, open.windowBytes);
  payload[5] = service.length;
  let offset = 6;
  for (let i = 0; i < service.length; i++) payload[offset++] = service.charCodeAt(i);
  payload[offset] = head.length >>> 8;
  payload[offset + 1] = head.length;
  payload.set(head, offset + 2);
  payload.set(body, offset + 2 + head.length);
  return payload;
}

/**
 * Decodes OPEN.
 *
 * @throws {ProtocolError} `protocol`, when it is cut short, or its window is over `WINDOW_BYTES_MAX`.
 */
export function decodeOpen(payload: Uint8Array): OpenPayload {
  if (payload.length < 8) throw new ProtocolError("protocol", "Cannot take OPEN: it is cut short");
  const kind = KIND_NAMES.get(payload[0]!);
  const serviceLength = payload[5]!;
  // Only what leaves by the gateway has no service.
  const isNamed = serviceLength > 0 || kind === "egress";
  if (!isNamed || serviceLength > SERVICE_BYTES_MAX || payload.length < 8 + serviceLength) {
    throw new ProtocolError("protocol", "Cannot take OPEN: the service name does not fit");
  }
  const service = Buffer.from(payload.buffer, payload.byteOffset + 6, serviceLength).toString("latin1");
  const windowBytes = readUint32(payload, 1);
  if (windowBytes > WINDOW_BYTES_MAX) {
    throw new ProtocolError("protocol", "Cannot take OPEN: its window is over 2^31 - 1 bytes");
  }
  const { head, body } = splitHead(payload, 6 + serviceLength);
  return { kind, service, windowBytes, head, body };
}

/** Encodes HEAD: a response head, and body bytes that were there with it. The parts are copied. */
export function encodeHead(head: Uint8Array, body: Uint8Array = NO_BYTES): Uint8Array {
  const payload = new Uint8Array(2 + head.length + body.length);
  payload[0] = head.length >>> 8;
  payload[1] = head.length;
  payload.set(head, 2);
  payload.set(body, 2 + head.length);
  return payload;
}

/** Decodes HEAD. @throws {ProtocolError} `protocol`, when it is cut short. */
export function decodeHead(payload: Uint8Array): { head: Uint8Array; body: Uint8Array } {
  return splitHead(payload, 0);
}

/** The most body bytes that fit into OPEN or HEAD behind their head. */
export function bodyRoom(headBytes: number, serviceBytes = 0): number {
  return FRAME_PAYLOAD_BYTES_MAX - 8 - serviceBytes - headBytes;
}

function splitHead(payload: Uint8Array, offset: number): { head: Uint8Array; body: Uint8Array } {
  const length = ((payload[offset] ?? 0) << 8) | (payload[offset + 1] ?? 0);
  const end = offset + 2 + length;
  if (payload.length < end) throw new ProtocolError("protocol", "Cannot take a head: it is cut short");
  return { head: payload.subarray(offset + 2, end), body: payload.subarray(end) };
}

/** Encodes RESET or GOAWAY: a code, and a text for the other side's log. Never a secret, never an address. */
export function encodeFarewell(code: ErrorName, detail: string): Uint8Array {
  const text = Buffer.from(detail).subarray(0, DETAIL_BYTES_MAX);
  const payload = new Uint8Array(4 + text.length);
  writeUint32(payload, 0, ErrorCode[code]);
  payload.set(text, 4);
  return payload;
}

/** Decodes RESET or GOAWAY. @throws {ProtocolError} `protocol`, when it has no code or an overlong text. */
export function decodeFarewell(payload: Uint8Array): { code: ErrorName; detail: string } {
  if (payload.length < 4 || payload.length > 4 + DETAIL_BYTES_MAX) {
    throw new ProtocolError("protocol", "Cannot take a farewell: its length is wrong");
  }
  const detail = Buffer.from(payload.buffer, payload.byteOffset + 4, payload.length - 4).toString("utf8");
  return { code: errorName(readUint32(payload, 0)), detail };
}
