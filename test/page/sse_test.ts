/**
 * The live stream as text, in pieces of every size.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { LINE_CHARS_MAX, type ServerEvent, SseReader } from "../../lib/page/core/sse.ts";

const STREAM = [
  "retry: 2000\n\n",
  ":\n\n",
  'event: event\nid: 7\ndata: {"a":"x: y\\nz"}\n\n',
  "data: one\ndata:two\ndata:  three\n\n",
  'event: edge\r\ndata: {"id":"é😀"}\r\n\r\n',
  "event: nothing\n\n",
  "data\n\n",
].join("");

const WANTED: readonly ServerEvent[] = [
  { name: "event", data: '{"a":"x: y\\nz"}' },
  { name: "message", data: "one\ntwo\n three" },
  { name: "edge", data: '{"id":"é😀"}' },
  { name: "message", data: "" },
];

test("the same events come out, wherever the text is cut", () => {
  let cuts = 0;
  for (let size = 1; size <= STREAM.length; size++) {
    const reader = new SseReader();
    const found: ServerEvent[] = [];
    for (let at = 0; at < STREAM.length; at += size) found.push(...reader.push(STREAM.slice(at, at + size)));
    expect(found).toEqual([...WANTED]);
    cuts++;
  }
  expect(cuts).toBe(STREAM.length);
});

test("what is not whole yet is not given", () => {
  const reader = new SseReader();
  expect(reader.push("event: edge\ndata: 1\n")).toEqual([]);
  expect(reader.push("\n")).toEqual([{ name: "edge", data: "1" }]);
  expect(reader.push("data: 2\n\n")).toEqual([{ name: "message", data: "2" }]);
});

test("a line without end is refused and not kept", () => {
  const reader = new SseReader();
  const piece = "x".repeat(LINE_CHARS_MAX / 4);
  for (let i = 0; i < 4; i++) reader.push(piece);
  expect(() => reader.push("x")).toThrow("without end");
});
