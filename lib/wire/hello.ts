/**
 * HELLO: the first frame of each side. Versions, windows, and what the side says of itself.
 *
 * @module
 */
import { decodeFields, encodeFields } from "./head.ts";
import { ProtocolError } from "./errors.ts";
import { readUint32, writeUint32 } from "./frame.ts";

/** The newest version of the wire that this code speaks. */
export const VERSION = 1;
/** The oldest version that it still speaks. */
export const VERSION_FLOOR = 1;

/** The largest window that may be announced or reached by credit. */
export const WINDOW_BYTES_MAX = 0x7fff_ffff;

const HELLO_BYTES_MIN = 16;

export interface Hello {
  /** Oldest and newest version of the wire that the sender speaks. */
  versionMin: number;
  versionMax: number;
  /** What the receiver of this HELLO may send on a stream that it opens, before it is given credit. */
  streamWindowBytes: number;
  /** What the receiver of this HELLO may send on all streams together, before it is given credit. */
  sessionWindowBytes: number;
  /** How many streams the receiver of this HELLO may have open at once. */
  streamsMax: number;
  /** Flat names and values: what the sender claims. Unknown names are ignored. */
  fields: string[];
}

/** Encodes HELLO. */
export function encodeHello(hello: Hello): Uint8Array {
  const fields = encodeFields(hello.fields);
  const payload = new Uint8Array(HELLO_BYTES_MIN + fields.length);
  payload[0] = hello.versionMin >>> 8;
  payload[1] = hello.versionMin;
  payload[2] = hello.versionMax >>> 8;
  payload[3] = hello.versionMax;
  writeUint32(payload, 4, hello.streamWindowBytes);
  writeUint32(payload, 8, hello.sessionWindowBytes);
  writeUint32(payload, 12, hello.streamsMax);
  payload.set(fields, HELLO_BYTES_MIN);
  return payload;
}

/** Decodes HELLO. @throws {ProtocolError} `protocol`, when it is not one, or a window is out of range. */
export function decodeHello(payload: Uint8Array): Hello {
  if (payload.length < HELLO_BYTES_MIN + 2) {
    throw new ProtocolError("protocol", "Cannot take HELLO: it is cut short");
  }
  const hello = {
    versionMin: (payload[0]! << 8) | payload[1]!,
    versionMax: (payload[2]! << 8) | payload[3]!,
    streamWindowBytes: readUint32(payload, 4),
    sessionWindowBytes: readUint32(payload, 8),
    streamsMax: readUint32(payload, 12),
    fields: decodeFields(payload.subarray(HELLO_BYTES_MIN)),
  };
  if (hello.streamWindowBytes > WINDOW_BYTES_MAX || hello.sessionWindowBytes > WINDOW_BYTES_MAX) {
    throw new ProtocolError("protocol", "Cannot take HELLO: a window is over 2^31 - 1 bytes");
  }
  if (hello.versionMin === 0 || hello.versionMin > hello.versionMax) {
    throw new ProtocolError("protocol", "Cannot take HELLO: its versions are out of order");
  }
  return hello;
}

/**
 * The version that both speak: the newest that neither refuses.
 *
 * @throws {ProtocolError} `version`, when there is none. The message says which side to upgrade.
 */
export function agreeVersion(peer: Hello, own = { min: VERSION_FLOOR, max: VERSION }): number {
  const version = Math.min(peer.versionMax, own.max);
  if (version < own.min) {
    throw new ProtocolError(
      "version",
      `Cannot speak with a peer of version ${peer.versionMax}: upgrade it to ${own.min}`,
    );
  }
  if (version < peer.versionMin) {
    throw new ProtocolError(
      "version",
      `Cannot speak version ${own.max}: the peer wants at least ${peer.versionMin}`,
    );
  }
  return version;
}

/** The value of a field of HELLO, or `undefined`. Names are lower-case. */
export function helloField(hello: Hello, name: string): string | undefined {
  for (let i = 0; i < hello.fields.length; i += 2) {
    if (hello.fields[i] === name) return hello.fields[i + 1];
  }
  return undefined;
}
