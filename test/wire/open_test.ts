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
} from "../../lib/wire/open.ts";

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
      fc.constantFrom<"http" | "upgrade">("http", "upgrade"),
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
    for (const kind of [0, 3, 0xff]) {
      const bytes = encodeOpen(OPEN);
      bytes[0] = kind;
      expect(decodeOpen(bytes).kind).toBeUndefined();
    }
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
    fc.assert(fc.property(fc.uint8Array({ maxLength: 90 }), (bytes) => {
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
    expect(names).toHaveLength(21);
    expect(new Set(Object.values(ErrorCode)).size).toBe(names.length);
  });

  test.each([0x15, 0xffff, 0xffff_ffff])("with the unknown code %d mean internal", (code) => {
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
