/**
 * The runtime knows its own name.
 *
 * @module
 */
import process from "node:process";
import { describe, expect, test } from "bun:test";
import { runtimeName, runtimeVersion } from "../../lib/runtime/runtime.ts";

describe("runtimeName", () => {
  test("is the runtime that has its global here", () => {
    expect(runtimeName).toBe("Deno" in globalThis ? "deno" : "bun");
    expect("Bun" in globalThis).toBe(runtimeName === "bun");
  });

  test("comes with the version of that runtime", () => {
    expect(runtimeVersion).toMatch(/^\d+\.\d+\.\d+/);
    expect(runtimeVersion).toBe(process.versions[runtimeName]!);
  });
});
