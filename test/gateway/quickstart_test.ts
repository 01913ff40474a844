/**
 * What quickstart says to whoever started it.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { greeting } from "../../lib/gateway/quickstart.ts";

const URL = "http://127.0.0.1:8080";
const PAGE = "http://127.0.0.1:9090/#code=abc";
const API = { data: "/tmp/data", admin: "127.0.0.1:9090", page: PAGE };

/** Its lines that say something, from the second on: the first draws the way of a request. */
const hints = (text: string): string[] =>
  text.split("\n").map((line) => line.trim()).filter((line) => line !== "").slice(1);

describe("greeting()", () => {
  test("names the page first, for the sample and for a target", () => {
    for (const target of [undefined, "http://127.0.0.1:3000"]) {
      expect(hints(greeting(URL, target, API))[0]).toBe(`Open the page: ${PAGE}`);
    }
  });

  test("has no line for a page that is not there", () => {
    const text = greeting(URL, undefined, { ...API, page: undefined });
    expect(text).not.toContain("page");
    expect(hints(text)[0]).toBe("Try it:");
  });

  test("has no command for an API that is off", () => {
    const text = greeting(URL, undefined, { ...API, admin: undefined, page: undefined });
    for (const word of ["groups", "events --follow", "--admin"]) expect(text).not.toContain(word);
    expect(greeting(URL, undefined, API)).toContain("groups --admin 127.0.0.1:9090 --data /tmp/data\n");
  });

  test("says what the sample has only for the sample", () => {
    const [sample, own] = [undefined, "http://127.0.0.1:3000"].map((target) => greeting(URL, target, API));
    for (const word of [`curl -N ${URL}/events`, "/echo", "strangers", "Publish your own"]) {
      expect(sample).toContain(word);
      expect(own).not.toContain(word);
    }
    expect(own).toContain("→  http://127.0.0.1:3000\n");
  });
});
