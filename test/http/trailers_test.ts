/**
 * Tests of what passes of trailers.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { passableTrailers, trailerPairs } from "../../lib/http/trailers.ts";

test("a trailer that frames, routes, authorizes or tells who called ends here", () => {
  const gone = [
    ...[
      "Content-Length",
      "transfer-encoding",
      "HOST",
      "Authorization",
      "Cookie",
      "Set-Cookie",
      "TE",
      "Trailer",
    ],
    ...[
      "X-Forwarded-For",
      "x_forwarded_for",
      "Forwarded",
      "X-Real-Ip",
      "Connection",
      "Upgrade",
      "Content_Length",
    ],
  ];
  for (const name of gone) expect([name, passableTrailers([name, "1"])]).toEqual([name, []]);
  for (const name of gone) expect([name, trailerPairs([name, "1"])]).toEqual([name, []]);
  expect(gone).toHaveLength(15);
});

test("the others pass in order, case and number", () => {
  const trailers = ["Grpc-Status", "0", "X-sum", "a", "x-SUM", "b"];
  expect(passableTrailers(trailers)).toEqual(trailers);
  expect(trailerPairs(trailers)).toEqual([["Grpc-Status", "0"], ["X-sum", "a"], ["x-SUM", "b"]]);
});

test("an unsafe trailer of an answer spoils all of them", () => {
  for (
    const bad of [["", "v"], ["a b", "v"], ["a", "v\r\nSet-Cookie: x"], ["a", "\x00"], ["a:", "v"], [
      "a",
      "\u010a",
    ]]
  ) {
    expect(trailerPairs(["X", "1", ...bad])).toBeUndefined();
  }
  expect(passableTrailers(["odd"])).toEqual([]);
});
