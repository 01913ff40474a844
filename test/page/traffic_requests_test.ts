/**
 * What the list of requests and one of them say.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import {
  bodyText,
  HEX_BYTES_SHOWN,
  hexRows,
  maskedPieces,
  newCount,
  replayWarning,
  selectRequests,
  statusFilter,
  statusWords,
  TEXT_CHARS_SHOWN,
  withOlder,
} from "../../lib/page/traffic/request_facts.ts";
import type { RequestSummary, ShownBody } from "../../lib/page/traffic/traffic_types.ts";

function requestOf(id: string, patch: Partial<RequestSummary> = {}): RequestSummary {
  return {
    ...{ id, service: "web", direction: "north-south", source: "192.0.2.1", atMs: 0, ms: 1, method: "GET" },
    ...{ host: "Shop.example.com", target: "/a?b=c", status: 200, requestBytes: 0, responseBytes: 0 },
    recorded: "head",
    ...patch,
  };
}

function bodyOf(format: ShownBody["format"], content: string): ShownBody {
  return { bytes: content.length, format, content, isCut: false };
}

describe("the list", () => {
  test("statusFilter() takes only what the API takes", () => {
    const good = ["2xx", "404", "none"];
    const bad = ["", "0xx", "2XX", "99", "1000", "4xx ", "all", "'"];
    for (const text of good) expect(statusFilter(text)).toBe(text);
    for (const text of bad) expect(statusFilter(text)).toBeUndefined();
    expect(statusFilter(null)).toBeUndefined();
    expect(good.length + bad.length).toBe(11);
  });

  test("selectRequests() looks in host and path together, without case", () => {
    const items = [
      requestOf("1"),
      requestOf("2", { target: "/<img>", agent: "web-7", failure: "targetRefused" }),
    ];
    const ids = (text: string): string[] => selectRequests(items, text).map(({ id }) => id);
    expect(ids(" ")).toEqual(["1", "2"]);
    expect(ids("shop.EXAMPLE.com/a?b")).toEqual(["1"]);
    expect(ids("<IMG>")).toEqual(["2"]);
    expect(ids("web-7")).toEqual(["2"]);
    expect(ids("refused")).toEqual(["2"]);
    expect(ids(".*")).toEqual([]);
  });

  test("newCount() and withOlder() go by id", () => {
    const held = [requestOf("3"), requestOf("2")];
    expect(newCount(held, [requestOf("5"), requestOf("4"), requestOf("3")])).toBe(2);
    expect(newCount(held, [])).toBe(0);
    expect(withOlder(held, [requestOf("2"), requestOf("1")]).map(({ id }) => id)).toEqual(["3", "2", "1"]);
  });

  test("statusWords() has a word for each class, and for no answer", () => {
    const words = [101, 204, 304, 404, 503].map((status) => statusWords({ status }).word);
    expect(words).toEqual(["allow", "allow", "info", "warning", "blocked"]);
    expect(statusWords({ status: 0 }).text).toBe("no answer");
    expect(statusWords({ status: 0, failure: "visitor left" }).text).toBe("visitor left");
  });

  test("replayWarning() is silent for safe methods alone, and methods have a case", () => {
    for (const method of ["GET", "HEAD", "OPTIONS", "TRACE"]) expect(replayWarning({ method })).toBe("");
    for (const method of ["PUT", "DELETE"]) expect(replayWarning({ method })).toContain("come to the same");
    for (const method of ["POST", "PATCH", "get", "BREW", "constructor"]) {
      expect(replayWarning({ method })).toContain("a second time");
    }
  });
});

describe("bodies", () => {
  test("JSON gets line breaks, unless it would read otherwise", () => {
    const json = "application/problem+json; charset=utf-8";
    expect(bodyText(bodyOf("text", '{"a":1}'), json, false).text).toBe('{\n  "a": 1\n}');
    // A reading would lose these.
    for (
      const text of [
        '{"a":1,"a":2}',
        '{"n":12345678901234567890}',
        '{"n":1.0}',
        "{",
        "",
        '{"__proto__":1,"__proto__":2}',
      ]
    ) {
      expect(bodyText(bodyOf("text", text), json, false).text).toBe(text);
    }
    expect(bodyText(bodyOf("text", '{"a":1}'), "text/plain", false).text).toBe('{"a":1}');
    expect(bodyText(bodyOf("text", '{"a":1}'), "application/jsonp", false).text).toBe('{"a":1}');
  });

  test("long ones are cut until all is asked for", () => {
    const long = bodyOf("text", "x".repeat(TEXT_CHARS_SHOWN + 5));
    expect(bodyText(long, "", false)).toEqual({ text: "x".repeat(TEXT_CHARS_SHOWN), more: 5 });
    expect(bodyText(long, "", true).more).toBe(0);
    const bytes = bodyOf("base64", btoa("\0".repeat(HEX_BYTES_SHOWN + 7)));
    expect(bodyText(bytes, "", false).more).toBe(7);
    expect(bodyText(bytes, "", true).text.split("\n")).toHaveLength(HEX_BYTES_SHOWN / 16 + 1);
  });

  test("what is hidden or broken shows nothing", () => {
    expect(bodyText(bodyOf("hidden", "secret"), "", true)).toEqual({ text: "", more: 0 });
    expect(bodyText(bodyOf("base64", "not base64!"), "", true)).toEqual({ text: "", more: 0 });
  });

  test("hexRows() shows offset, bytes and visible ASCII", () => {
    const bytes = new Uint8Array([...new TextEncoder().encode("<script>\n\x7f\xff ab"), 1, 2, 3, 4]);
    const [first, second] = hexRows(bytes).split("\n");
    expect(first).toBe("000000  3c 73 63 72 69 70 74 3e 0a 7f c3 bf 20 61 62 01  <script>.... ab.");
    expect(second).toMatch(/^000010 {2}02 03 04 +\.\.\.$/);
    expect(hexRows(new Uint8Array())).toBe("");
  });
});

describe("maskedPieces()", () => {
  test("tells the mask from what is beside it", () => {
    expect(maskedPieces("plain")).toEqual([{ text: "plain", isMask: false }]);
    expect(maskedPieces("sid=[masked]; a=[masked]")).toEqual([
      { text: "sid=", isMask: false },
      { text: "[masked]", isMask: true },
      { text: "; a=", isMask: false },
      { text: "[masked]", isMask: true },
    ]);
    expect(maskedPieces("")).toEqual([]);
  });
});
