/**
 * The payloads of OPEN, HEAD, RESET and GOAWAY.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ErrorCode, type ErrorName, errorName, ProtocolError } from "../../lib/wire/errors.ts";
import { FRAME_PAYLOAD_BYTES_MAX, writeUint32 } from "../../lib/wire/frame.ts";
import { HEAD_BYTES_MAX } from "../../lib/wire/head.ts";
import { WINDOW_BYTES_MAX } from "../../lib/wire/hello.ts";
import {
  bodyRoom,
  decodeFarewell,
  decodeHead,
  decodeOpen,
  DETAIL_BYTES_MAX,
  encodeFarewell,
  encodeHead,
  encodeOpen,
  type OpenPayload,
  SERVICE_BYTES_MAX,
  StreamKind,
  type StreamKindName,
} from "../../lib/wire/open.ts";

const KINDS = Object.keys(StreamKind) as StreamKindName[];

const OPEN: OpenPayload = {
  kind: "http",
  service: "web",
  windowBytes: 262_144,
  head: Uint8Array.of(1, 2, 3),
  body: Uint8Array.of(9),
};

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return error instanceof ProtocolError ? error.code : String(error);
  }
  return "nothing thrown";
}

describe("OPEN", () => {
  test("comes back as it was", () => {
    let runs = 0;
    fc.assert(fc.property(
      fc.constantFrom(...KINDS),
      fc.string({ unit: fc.constantFrom(..."abz09-"), minLength: 1, maxLength: SERVICE_BYTES_MAX }),
      fc.integer({ min: 0, max: WINDOW_BYTES_MAX }),
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 50 }),
      (kind, service, windowBytes, head, body) => {
        runs++;
        const decoded = decodeOpen(encodeOpen({ kind, service, windowBytes, head, body }));
        expect({ ...decoded, head: [...decoded.head], body: [...decoded.body] }).toEqual({
          ...{ kind, service, windowBytes },
          ...{ head: [...head], body: [...body] },
        });
      },
    ));
    expect(runs).toBeGreaterThanOrEqual(100);
  });

  test("is refused when cut before the end of its head", () => {
    const bytes = encodeOpen({ ...OPEN, body: new Uint8Array(0) });
    for (let end = 0; end < bytes.length; end++) {
      expect(codeOf(() => decodeOpen(bytes.subarray(0, end)))).toBe("protocol");
    }
    expect(decodeOpen(bytes).body).toHaveLength(0);
  });

  test("of an unknown kind is read, so that only its stream is refused", () => {
    expect(Object.values(StreamKind)).toEqual([1, 2, 3, 4]);
    for (const kind of [0, 5, 0x7f, 0x80, 0xff]) {
      const bytes = encodeOpen(OPEN);
      bytes[0] = kind;
      expect(decodeOpen(bytes)).toMatchObject({ kind: undefined, service: "web" });
    }
  });

  test("names a service, but for egress, which may do without", () => {
    const bytes = encodeOpen({ ...OPEN, kind: "egress", service: "" });
    expect(decodeOpen(bytes)).toMatchObject({ kind: "egress", service: "" });
    expect([...decodeOpen(bytes).head, ...decodeOpen(bytes).body]).toEqual([1, 2, 3, 9]);
    let refused = 0;
    for (let kind = 0; kind < 256; kind++) {
      bytes[0] = kind;
      if (kind === StreamKind.egress) expect(codeOf(() => decodeOpen(bytes))).toBe("nothing thrown");
      else {
        expect([kind, codeOf(() => decodeOpen(bytes))]).toEqual([kind, "protocol"]);
        refused++;
      }
    }
    expect(refused).toBe(255);
    const named = encodeOpen({ ...OPEN, kind: "egress", service: "web" });
    expect(decodeOpen(named).service).toBe("web");
    for (let end = 0; end < bytes.length - 1; end++) {
      bytes[0] = StreamKind.egress;
      expect(codeOf(() => decodeOpen(bytes.subarray(0, end)))).toBe("protocol");
    }
  });

  test("with a service of egress over the limit is refused", () => {
    const bytes = new Uint8Array(600);
    bytes.set([StreamKind.egress, 0, 0, 0, 0, SERVICE_BYTES_MAX + 1]);
    expect(codeOf(() => decodeOpen(bytes))).toBe("protocol");
  });

  test("comes back as it was, of any kind and with no service, however long its parts are", () => {
    let runs = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...KINDS),
        fc.integer({ min: 0, max: WINDOW_BYTES_MAX }),
        fc.integer({ min: 0, max: HEAD_BYTES_MAX }),
        fc.integer({ min: 0, max: 60_000 }),
        (kind, windowBytes, headBytes, bodyBytes) => {
          runs++;
          const service = kind === "egress" ? "" : "s";
          const [head, body] = [new Uint8Array(headBytes).fill(7), new Uint8Array(bodyBytes).fill(8)];
          const payload = encodeOpen({ kind, service, windowBytes, head, body });
          expect(payload.length).toBeLessThanOrEqual(FRAME_PAYLOAD_BYTES_MAX);
          const decoded = decodeOpen(payload);
          expect([decoded.kind, decoded.service, decoded.windowBytes]).toEqual([kind, service, windowBytes]);
          expect([decoded.head.length, decoded.body.length]).toEqual([headBytes, bodyBytes]);
          expect(decoded.head.every((byte) => byte === 7) && decoded.body.every((byte) => byte === 8)).toBe(
            true,
          );
        },
      ),
      { numRuns: 50 },
    );
    expect(runs).toBeGreaterThanOrEqual(50);
  });

  test.each([0, SERVICE_BYTES_MAX + 1, 255])("with a service of %d bytes is refused", (length) => {
    const bytes = new Uint8Array(600);
    bytes.set([1, 0, 0, 0, 0, length]);
    expect(codeOf(() => decodeOpen(bytes))).toBe("protocol");
  });

  test.each([0x8000_0000, 0xffff_ffff])("with a window of %d bytes is refused", (windowBytes) => {
    const bytes = encodeOpen(OPEN);
    writeUint32(bytes, 1, windowBytes);
    expect(codeOf(() => decodeOpen(bytes))).toBe("protocol");
  });

  test("leaves room for a body behind the longest head", () => {
    const room = bodyRoom(HEAD_BYTES_MAX, SERVICE_BYTES_MAX);
    expect(room).toBeGreaterThan(60_000);
    const parts = { ...OPEN, service: "s".repeat(SERVICE_BYTES_MAX), head: new Uint8Array(HEAD_BYTES_MAX) };
    expect(encodeOpen({ ...parts, body: new Uint8Array(room) }).length).toBe(FRAME_PAYLOAD_BYTES_MAX);
  });

  test("is any bytes, or a ProtocolError", () => {
    let runs = 0;
    const kind = fc.constantFrom(0, 1, 2, 3, 4, 5, 0xff);
    // The kind decides whether there must be a service: each has its share of the runs.
    const payload = fc.tuple(kind, fc.constantFrom(0, 1, 63, 64), fc.uint8Array({ maxLength: 90 })).map(
      ([first, length, rest]) => Uint8Array.of(first, 0, ...rest.slice(0, 3), length, ...rest.slice(3)),
    );
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 90 }), payload), (bytes) => {
      runs++;
      expect(["protocol", "nothing thrown"]).toContain(codeOf(() => decodeOpen(bytes)));
      expect(["protocol", "nothing thrown"]).toContain(codeOf(() => decodeHead(bytes)));
      expect(["protocol", "nothing thrown"]).toContain(codeOf(() => decodeFarewell(bytes)));
    }));
    expect(runs).toBeGreaterThanOrEqual(100);
  });
});

describe("HEAD", () => {
  test("comes back as it was, and is refused when its head is cut", () => {
    const bytes = encodeHead(Uint8Array.of(1, 2, 3, 4), Uint8Array.of(5));
    const { head, body } = decodeHead(bytes);
    expect([[...head], [...body]]).toEqual([[1, 2, 3, 4], [5]]);
    for (let end = 0; end < 6; end++) {
      expect(codeOf(() => decodeHead(bytes.subarray(0, end)))).toBe("protocol");
    }
    expect(decodeHead(encodeHead(Uint8Array.of(7))).body).toHaveLength(0);
  });
});

describe("RESET and GOAWAY", () => {
  test("carry every code by its name", () => {
    const names = Object.keys(ErrorCode) as ErrorName[];
    for (const name of names) {
      expect(decodeFarewell(encodeFarewell(name, "why"))).toEqual({ code: name, detail: "why" });
    }
    expect(names).toHaveLength(22);
    expect(new Set(Object.values(ErrorCode)).size).toBe(names.length);
  });

  test.each([0x16, 0xffff, 0xffff_ffff])("with the unknown code %d mean internal", (code) => {
    const bytes = encodeFarewell("none", "");
    writeUint32(bytes, 0, code);
    expect(decodeFarewell(bytes).code).toBe("internal");
    expect(errorName(code)).toBe("internal");
  });

  test("cut a long text, in bytes", () => {
    expect(encodeFarewell("none", "é".repeat(1000)).length).toBe(4 + DETAIL_BYTES_MAX);
    expect(decodeFarewell(encodeFarewell("none", "é".repeat(1000))).detail.length).toBe(DETAIL_BYTES_MAX / 2);
  });

  test.each([0, 3, 5 + DETAIL_BYTES_MAX, FRAME_PAYLOAD_BYTES_MAX])("of %d bytes are refused", (length) => {
    expect(codeOf(() => decodeFarewell(new Uint8Array(length)))).toBe("protocol");
  });
});
