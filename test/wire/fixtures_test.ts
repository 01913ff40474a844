/**
 * The golden frames: bytes that must never change in version 1, with what they mean.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { FrameDecoder, FrameEncoder } from "../../lib/wire/codec.ts";
import { FLAG_END, FrameType } from "../../lib/wire/frame.ts";
import {
  decodeFields,
  decodeRequestHead,
  decodeResponseHead,
  encodeFields,
  encodeRequestHead,
  encodeResponseHead,
} from "../../lib/wire/head.ts";
import { decodeHello, encodeHello } from "../../lib/wire/hello.ts";
import {
  decodeFarewell,
  decodeHead,
  decodeOpen,
  encodeFarewell,
  encodeHead,
  encodeOpen,
} from "../../lib/wire/open.ts";
import { hexNames, parseHex, readHex } from "../support/hex_frames.ts";
import { naiveDecode, type NaiveFrame } from "../support/naive_codec.ts";

interface Golden {
  type: number;
  /** Its head is a list of fields, as that of a raw connection. */
  raw?: boolean;
  flags?: number;
  streamId?: number;
  /** What the payload means. */
  meaning: unknown;
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const WINDOWS = { versionMin: 1, versionMax: 1, streamWindowBytes: 262_144, sessionWindowBytes: 2 << 20 };
const REQUEST = { method: "GET", target: "/hi", fields: ["Host", "web.example.com"] };

const GOLDEN: Record<string, Golden> = {
  "hello-agent": {
    type: FrameType.hello,
    meaning: {
      ...{ ...WINDOWS, streamsMax: 4096 },
      fields: ["services", "web", "hostname", "box", "version", "0.1.0", "runtime", "bun"],
    },
  },
  "hello-gateway": {
    type: FrameType.hello,
    meaning: { ...WINDOWS, streamsMax: 0, fields: ["version", "0.1.0"] },
  },
  open: {
    ...{ type: FrameType.open, flags: FLAG_END, streamId: 1 },
    meaning: { kind: "http", service: "web", windowBytes: 262_144, request: REQUEST, body: "" },
  },
  "open-upgrade": {
    ...{ type: FrameType.open, streamId: 3 },
    meaning: { kind: "upgrade", service: "web", windowBytes: 65_536, request: REQUEST, body: "hi" },
  },
  "open-tcp": {
    ...{ type: FrameType.open, streamId: 5, raw: true },
    meaning: {
      ...{ kind: "tcp", service: "db", windowBytes: 262_144, body: "" },
      fields: ["source", "203.0.113.7:51234", "destination", "192.0.2.1:5432"],
    },
  },
  "open-egress": {
    ...{ type: FrameType.open, streamId: 2, raw: true },
    meaning: {
      ...{ kind: "egress", service: "", windowBytes: 262_144, body: "hi" },
      fields: ["host", "api.example.com", "port", "443"],
    },
  },
  head: {
    ...{ type: FrameType.head, flags: FLAG_END, streamId: 1 },
    meaning: { response: { status: 200, reason: "OK", fields: ["Content-Length", "6"] }, body: "hello\n" },
  },
  "head-connected": { type: FrameType.head, streamId: 2, raw: true, meaning: { fields: [], body: "" } },
  data: { type: FrameType.data, streamId: 1, meaning: "abc" },
  "data-end": { type: FrameType.data, flags: FLAG_END, streamId: 1, meaning: "" },
  end: { type: FrameType.end, streamId: 1, meaning: [] },
  "end-trailers": { type: FrameType.end, streamId: 1, meaning: ["grpc-status", "0"] },
  reset: {
    type: FrameType.reset,
    streamId: 1,
    meaning: { code: "unknownService", detail: "no such service" },
  },
  "credit-session": { type: FrameType.credit, meaning: [0, 0x80, 0, 0] },
  "credit-stream": { type: FrameType.credit, streamId: 1, meaning: [0, 2, 0, 0] },
  ping: { type: FrameType.ping, meaning: [0, 0, 0, 0, 0, 0, 0, 1] },
  pong: { type: FrameType.pong, meaning: [0, 0, 0, 0, 0, 0, 0, 1] },
  "ping-drain": { type: FrameType.ping, meaning: Array(8).fill(255) },
  report: {
    type: FrameType.report,
    meaning: ["wall", "broken", "listeners", "2", "exposed", "tcp 0.0.0.0:8080 nginx(12)"],
  },
  goaway: { type: FrameType.goAway, meaning: { code: "draining", detail: "The gateway is stopping" } },
};

/** Payload to meaning, and back to the same payload. */
function read(type: number, payload: Uint8Array, raw: boolean): { meaning: unknown; again: Uint8Array } {
  if (raw) return readRaw(type, payload);
  switch (type) {
    case FrameType.hello: {
      const hello = decodeHello(payload);
      return { meaning: hello, again: encodeHello(hello) };
    }
    case FrameType.open: {
      const { kind, service, windowBytes, head, body } = decodeOpen(payload);
      const request = decodeRequestHead(head);
      const parts = { kind, service, windowBytes, head: encodeRequestHead(request), body };
      return {
        meaning: { kind, service, windowBytes, request, body: text(body) },
        again: encodeOpen(parts),
      };
    }
    case FrameType.head: {
      const { head, body } = decodeHead(payload);
      const response = decodeResponseHead(head);
      return {
        meaning: { response, body: text(body) },
        again: encodeHead(encodeResponseHead(response), body),
      };
    }
    case FrameType.report: {
      const fields = decodeFields(payload);
      return { meaning: fields, again: encodeFields(fields) };
    }
    case FrameType.end: {
      const fields = payload.length === 0 ? [] : decodeFields(payload);
      return { meaning: fields, again: payload.length === 0 ? payload : encodeFields(fields) };
    }
    case FrameType.reset:
    case FrameType.goAway: {
      const farewell = decodeFarewell(payload);
      return { meaning: farewell, again: encodeFarewell(farewell.code, farewell.detail) };
    }
    case FrameType.data:
      return { meaning: text(payload), again: payload };
    default:
      return { meaning: [...payload], again: payload };
  }
}

/** The same for OPEN and HEAD of raw connections. */
function readRaw(type: number, payload: Uint8Array): { meaning: unknown; again: Uint8Array } {
  if (type === FrameType.head) {
    const { head, body } = decodeHead(payload);
    const fields = decodeFields(head);
    return { meaning: { fields, body: text(body) }, again: encodeHead(encodeFields(fields), body) };
  }
  const { head, body, ...open } = decodeOpen(payload);
  const fields = decodeFields(head);
  return {
    meaning: { ...open, fields, body: text(body) },
    again: encodeOpen({ ...open, head: encodeFields(fields), body }),
  };
}

describe("golden frames", () => {
  test("are all named here, and in the folder", () => {
    expect(hexNames()).toEqual([...Object.keys(GOLDEN), "exchange-agent", "exchange-gateway"].sort());
    expect(hexNames()).toHaveLength(22);
    expect(new Set(Object.values(GOLDEN).map(({ type }) => type)).size).toBe(Object.keys(FrameType).length);
  });

  test.each(Object.keys(GOLDEN))("%s means what it says and encodes to the same bytes", (name) => {
    const bytes = readHex(name);
    const seen: NaiveFrame[] = [];
    new FrameDecoder((type, flags, streamId, payload) => seen.push({ type, flags, streamId, payload })).push(
      bytes,
    );
    expect(naiveDecode(bytes)).toEqual({ frames: seen, restBytes: 0 });
    expect(seen).toHaveLength(1);
    const { type, flags, streamId, payload } = seen[0]!;
    const golden = GOLDEN[name]!;
    expect([type, flags, streamId]).toEqual([golden.type, golden.flags ?? 0, golden.streamId ?? 0]);
    const { meaning, again } = read(type, payload, golden.raw ?? false);
    expect(meaning).toEqual(golden.meaning);
    let message: Uint8Array | undefined;
    const encoder = new FrameEncoder((sent) => message = sent);
    encoder.write(type, flags, streamId, again);
    encoder.flush();
    expect([...message!]).toEqual([...bytes]);
  });

  test("are read as hexadecimal and nothing else", () => {
    expect([...parseHex("# 00\n0a ff # 11\n\n01")]).toEqual([0x0a, 0xff, 1]);
    for (const text of ["0", "0x01", "0A", "zz"]) expect(() => parseHex(text)).toThrow(SyntaxError);
  });
});
