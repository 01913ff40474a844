/**
 * HELLO, and which version two sides agree on.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ProtocolError } from "../../lib/wire/errors.ts";
import {
  agreeVersion,
  decodeHello,
  encodeHello,
  type Hello,
  helloField,
  VERSION,
  VERSION_FLOOR,
  WINDOW_BYTES_MAX,
} from "../../lib/wire/hello.ts";

const HELLO: Hello = {
  versionMin: 1,
  versionMax: 1,
  streamWindowBytes: 262_144,
  sessionWindowBytes: 1 << 20,
  streamsMax: 100,
  fields: ["services", "web,api", "services", "second"],
};

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return error instanceof ProtocolError ? error.code : String(error);
  }
  return "nothing thrown";
}

describe("HELLO", () => {
  test("comes back as it was", () => {
    let runs = 0;
    const window = fc.integer({ min: 0, max: WINDOW_BYTES_MAX });
    const text = fc.string({ unit: "binary-ascii", maxLength: 20 });
    const fields = fc.array(fc.tuple(text, text), { maxLength: 5 }).map((pairs) => pairs.flat());
    fc.assert(fc.property(
      fc.integer({ min: 1, max: 0xffff }),
      fc.nat(0xffff),
      window,
      window,
      fc.integer({ min: 0, max: 0xffff_ffff }),
      fields,
      (versionMin, more, streamWindowBytes, sessionWindowBytes, streamsMax, list) => {
        runs++;
        const versionMax = Math.min(0xffff, versionMin + more);
        const windows = { streamWindowBytes, sessionWindowBytes, streamsMax };
        const hello = { versionMin, versionMax, ...windows, fields: list };
        expect(decodeHello(encodeHello(hello))).toEqual(hello);
      },
    ));
    expect(runs).toBeGreaterThanOrEqual(100);
  });

  test("is refused when cut at any byte, and when a byte follows", () => {
    const bytes = encodeHello(HELLO);
    for (let end = 0; end < bytes.length; end++) {
      expect(codeOf(() => decodeHello(bytes.subarray(0, end)))).toBe("protocol");
    }
    expect(codeOf(() => decodeHello(Uint8Array.from([...bytes, 0])))).toBe("protocol");
  });

  test.each([
    [{ streamWindowBytes: WINDOW_BYTES_MAX + 1 }, "a stream window over the limit"],
    [{ sessionWindowBytes: 0xffff_ffff }, "a session window over the limit"],
    [{ versionMin: 0 }, "version 0"],
    [{ versionMin: 3, versionMax: 2 }, "versions out of order"],
  ])("with %j is refused: %s", (change) => {
    expect(codeOf(() => decodeHello(encodeHello({ ...HELLO, ...change })))).toBe("protocol");
  });

  test("gives the first field of a name, or undefined", () => {
    expect(helloField(HELLO, "services")).toBe("web,api");
    expect(helloField(HELLO, "web,api")).toBeUndefined();
    expect(helloField(HELLO, "Services")).toBeUndefined();
  });

  test("is any bytes, or a ProtocolError", () => {
    let runs = 0;
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      runs++;
      expect(["protocol", "nothing thrown"]).toContain(codeOf(() => decodeHello(bytes)));
    }));
    expect(runs).toBeGreaterThanOrEqual(100);
  });
});

describe("agreeVersion()", () => {
  const peer = (versionMin: number, versionMax: number): Hello => ({ ...HELLO, versionMin, versionMax });

  test.each([
    [1, 1, 1, 1, 1],
    [1, 4, 1, 2, 2],
    [1, 2, 1, 4, 2],
    [2, 3, 1, 2, 2],
    [1, 2, 2, 9, 2],
  ])("of a peer with %d to %d and us with %d to %d is %d", (min, max, ownMin, ownMax, agreed) => {
    expect(agreeVersion(peer(min, max), { min: ownMin, max: ownMax })).toBe(agreed);
  });

  test.each([
    [1, 1, 2, 3, "upgrade it to 2"],
    [3, 4, 1, 2, "the peer wants at least 3"],
  ])("of a peer with %d to %d and us with %d to %d is none: %s", (min, max, ownMin, ownMax, words) => {
    const agree = (): number => agreeVersion(peer(min, max), { min: ownMin, max: ownMax });
    expect(codeOf(agree)).toBe("version");
    expect(agree).toThrow(words);
  });

  test("speaks what this code says of itself", () => {
    expect(agreeVersion(peer(VERSION_FLOOR, VERSION))).toBe(VERSION);
    expect(VERSION_FLOOR).toBeLessThanOrEqual(VERSION);
  });
});
