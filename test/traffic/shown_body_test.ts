/**
 * Tests of bodies as they are shown: decoded, bounded, masked, and never more than can be read.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import zlib from "node:zlib";
import { DECODED_BYTES_MAX, type ShownBody, shownBody } from "../../lib/traffic/shown_body.ts";
import { differences } from "../../lib/traffic/differences.ts";
import { FieldMasks } from "../../lib/traffic/mask_fields.ts";

const S = "hunter2SECRETvalue";
const JSON_BODY = Buffer.from(JSON.stringify({ password: S, a: "é" }));
const SHOWN = '{"password":"[masked]","a":"é"}';

const turn = <T>(work: () => T): Promise<Awaited<T>> => Promise.resolve(work()) as Promise<Awaited<T>>;

function show(bytes: Uint8Array, fields: string[] = [], isCut = false): Promise<ShownBody> {
  return shownBody({ bytes, totalBytes: bytes.length + (isCut ? 1 : 0), isCut }, fields, turn);
}

describe("shownBody()", () => {
  test("decodes what is compressed, also when it does not say so, and says what it was", async () => {
    const { gzipSync, deflateSync, deflateRawSync, brotliCompressSync } = zlib;
    const cases: readonly (readonly [string, Uint8Array])[] = [
      ["", JSON_BODY],
      ["identity", JSON_BODY],
      ["gzip", gzipSync(JSON_BODY)],
      ["X-GZip", gzipSync(JSON_BODY)],
      ["", gzipSync(JSON_BODY)],
      ["deflate", deflateSync(JSON_BODY)],
      ["deflate", deflateRawSync(JSON_BODY)],
      ["br", brotliCompressSync(JSON_BODY)],
      ["br, gzip", gzipSync(brotliCompressSync(JSON_BODY))],
    ];
    for (const [coding, bytes] of cases) {
      const fields = coding === "" ? [] : ["Content-ENCODING", coding];
      const shown = await show(bytes, [...fields, "content-type", "application/json"]);
      expect([coding, shown.format, shown.content, shown.isCut, shown.bytes]).toEqual([
        ...[coding, "text", SHOWN],
        ...[false, bytes.length],
      ] as never);
      expect(shown.contentEncoding).toBe(coding === "" ? undefined : coding.toLowerCase());
    }
    expect(cases).toHaveLength(9);
  });

  test("shows what there is of a body that was cut, without the secrets at its end", async () => {
    const bytes = zlib.gzipSync(Buffer.from(JSON.stringify({ a: "x".repeat(100), token: S.repeat(20) })));
    for (let length = 20; length < bytes.length; length++) {
      const shown = await show(bytes.subarray(0, length), ["Content-Encoding", "gzip"], true);
      expect([length, shown.isCut, shown.content.includes("hunter2"), shown.format === "base64"])
        .toEqual([length, true, false, false]);
    }
    expect(bytes.length).toBeGreaterThan(40);
    // Half a character is no reason to take it for no text.
    const half = await show(Buffer.from("né").subarray(0, 2), [], true);
    expect([half.format, half.content]).toEqual(["text", "n"]);
  });

  test("stops at its bound, whatever a bomb would become", async () => {
    const bombs: readonly (readonly [string, Uint8Array])[] = [
      ["gzip", zlib.gzipSync(Buffer.alloc(16 << 20, "a"))],
      ["br", zlib.brotliCompressSync(Buffer.alloc(16 << 20, "a"))],
      ["deflate", zlib.deflateSync(Buffer.alloc(16 << 20, "a"))],
      ["gzip, gzip", zlib.gzipSync(zlib.gzipSync(Buffer.alloc(16 << 20, "a")))],
    ];
    for (const [coding, bytes] of bombs) {
      const shown = await show(bytes, ["content-encoding", coding]);
      expect([coding, shown.isCut, shown.content.length]).toEqual([coding, true, DECODED_BYTES_MAX]);
    }
    expect(bombs).toHaveLength(4);
  }, 60_000);

  test("shows nothing of what cannot be read: nobody knows what is in it", async () => {
    for (const coding of ["zstd", "compress", "gzip, gzip, gzip", "aes128gcm", "constructor", "__proto__"]) {
      const shown = await show(JSON_BODY, ["content-encoding", coding]);
      expect([coding, shown.format, shown.content]).toEqual([coding, "hidden", ""]);
    }
    for (const coding of ["gzip", "br", "deflate"]) {
      const shown = await show(JSON_BODY, ["content-encoding", coding]);
      expect([coding, shown.content.includes(S)]).toEqual([coding, false]);
    }
  });

  test("text that is no UTF-8 is masked as well, and only what holds no secret is shown in base64", async () => {
    const cases: readonly (readonly [string, Uint8Array, string])[] = [
      ["a broken byte", Buffer.concat([JSON_BODY, Buffer.from([0xff])]), ""],
      ["a broken byte in front", Buffer.concat([Buffer.from([0xfe]), JSON_BODY]), "image/png"],
      ["latin1", Buffer.from(`{"é":1,"token":"${S}é"}`, "latin1"), "application/json"],
      ["UTF-16", Buffer.from(`\ufeff{"token":"${S}"}`, "utf16le"), "application/json"],
      ["UTF-16, the other way", Buffer.from(`{"token":"${S}"}`, "utf16le").swap16(), ""],
      ["zeros between", Buffer.from(`{"to\0ken":"${S}"}`), ""],
      ["latin1 form", Buffer.from(`x=é&password=${S}`, "latin1"), "application/x-www-form-urlencoded"],
    ];
    for (const [name, bytes, type] of cases) {
      const shown = await show(bytes, ["content-type", type]);
      expect([name, shown.format]).toEqual([name, "text"]);
      expect([name, shown.content.includes("hunter2")]).toEqual([name, false]);
    }
    expect(cases).toHaveLength(7);
    const image = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2, 0xff]);
    const shown = await show(image, ["content-type", "image/png"]);
    expect([shown.format, Buffer.from(shown.content, "base64").equals(image)]).toEqual(["base64", true]);
  });
});

describe("differences()", () => {
  const masks = new FieldMasks();
  const base = { status: 200, fields: ["Content-Type", "text/plain", "Date", "now"], bodyBytes: 5 };
  const text = (raw: string, change: Partial<ShownBody> = {}): { raw: Uint8Array; shown: ShownBody } => ({
    raw: Buffer.from(raw),
    shown: { bytes: raw.length, format: "text", content: raw, isCut: false, ...change },
  });

  test("of two equal answers are none, whatever every answer has anew", () => {
    const fields = [
      "content-type",
      "text/plain",
      "X-Request-Id",
      "2",
      "Connection",
      "close",
      "Content-Length",
      "5",
    ];
    expect(differences(base, { ...base, fields }, masks, true)).toEqual([]);
    expect(differences({ ...base, body: text("hello") }, { ...base, body: text("hello") }, masks, true))
      .toEqual([]);
  });

  test("tell of status, headers, bodies and lengths, by name", () => {
    const before = { ...base, body: text(`${"a".repeat(500)}X tail`) };
    const fields = ["Content-Type", "text/html", "Vary", "a", "vary", "b"];
    const after = { status: 503, fields, bodyBytes: 9, body: text(`${"a".repeat(500)}Y tail`) };
    const found = differences(before, after, masks, true);
    expect(found.map(({ part }) => part)).toEqual([
      "status",
      "header content-type",
      "header vary",
      "body",
      "bodyBytes",
    ]);
    expect(found[2]).toEqual({ part: "header vary", before: "", after: "a, b" });
    expect([found[3]!.before, found[3]!.after]).toEqual([
      `${"a".repeat(40)}X tail`,
      `${"a".repeat(40)}Y tail`,
    ]);
  });

  test("tell that secrets differ, and not what they are", () => {
    const before = { ...base, fields: ["Set-Cookie", `sid=${S}1`], body: text(S, { content: "[masked]" }) };
    const after = {
      ...base,
      fields: ["Set-Cookie", `sid=${S}2`],
      body: text(`${S}2`, { content: "[masked]" }),
    };
    const found = differences(before, after, masks, true);
    expect(found.map(({ part }) => part)).toEqual(["header set-cookie", "body"]);
    expect(JSON.stringify(found)).not.toContain(S);
    // What was masked when it was kept cannot be compared.
    const kept = { ...base, fields: ["Set-Cookie", "sid=[masked]"] };
    expect(differences(kept, { ...base, fields: after.fields }, masks, false)).toEqual([]);
  });

  test("of what is compressed anew are none, when it is the same", () => {
    const [a, b] = [text("1", { content: "x", contentEncoding: "gzip" }), text("2", { content: "x" })];
    expect(differences({ ...base, body: a }, { ...base, bodyBytes: 6, body: b }, masks, true)).toEqual([]);
  });
});
