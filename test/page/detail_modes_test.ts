/**
 * Which directions of a group learn on while others are watched.
 *
 * @module
 */
import { expect, test } from "bun:test";
import type { Mode } from "../../lib/page/core/types.ts";
import { stillLearning } from "../../lib/page/detail/still_learning.ts";

const ofModes = (northSouth: Mode, eastWest: Mode, egress: Mode) =>
  stillLearning({
    modes: {
      "north-south": { mode: northSouth, origin: "default" },
      "east-west": { mode: eastWest, origin: "promoted" },
      egress: { mode: egress, origin: "manual" },
    },
  });

test("a direction that learns is told once another is watched, and never while all learn", () => {
  expect(ofModes("learn", "learn", "learn")).toEqual([]);
  expect(ofModes("learn", "alert", "learn")).toEqual(["north-south", "egress"]);
  expect(ofModes("alert", "prevent", "learn")).toEqual(["egress"]);
  expect(ofModes("alert", "prevent", "prevent")).toEqual([]);
});
