/**
 * Tests of what Deno's permissions deny: which flags are named, for hosts and for unix sockets.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { fileCure, isDenied, lackingFlags, mayLookUp } from "../../lib/agent/denied.ts";
import type { Permission } from "../../lib/runtime/permissions.ts";

/** Grants what is listed, written as flags. */
function granting(...flags: string[]): (permission: Permission) => boolean {
  return ({ name, host, path }) => flags.includes(`${name}=${host ?? path}`);
}

test("names each flag that is lacking, and none where there are no permissions", () => {
  const cases: [Parameters<typeof lackingFlags>[0], string[], string | undefined][] = [
    [{ host: "127.0.0.1", port: 9 }, [], "--allow-net=127.0.0.1:9"],
    [{ host: "127.0.0.1", port: 9 }, ["net=127.0.0.1:8"], "--allow-net=127.0.0.1:9"],
    [{ host: "127.0.0.1", port: 9 }, ["net=127.0.0.1:9"], undefined],
    [{ host: "::1", port: 9 }, [], "--allow-net=[::1]:9"],
    [{ path: "/a" }, ["read=/a"], "--allow-net=unix:/a --allow-write=/a"],
    [{ path: "/a/../b" }, ["net=unix:/b", "read=/b", "write=/b"], undefined],
  ];
  for (const [place, granted, flags] of cases) expect(lackingFlags(place, granting(...granted))).toBe(flags);
  expect(cases).toHaveLength(6);
  // Both runtimes of these tests may do everything.
  for (const [place] of cases) expect(lackingFlags(place)).toBeUndefined();
});

test("a name is looked up without a port, so a port alone does not allow it", () => {
  expect(mayLookUp("edge.test", granting("net=edge.test:443"))).toBe(false);
  expect(mayLookUp("edge.test", granting("net=edge.test"))).toBe(true);
  expect(mayLookUp("edge.test")).toBe(true);
});

test("a file that Deno denies is cured by a flag, any other by its path and mode", () => {
  const denied = Object.assign(new Error("Requires read access"), { name: "NotCapable" });
  const missing = Object.assign(new Error("ENOENT"), { code: "ENOENT" });
  expect([denied, missing, undefined, "NotCapable"].map(isDenied)).toEqual([true, false, false, false]);
  expect(fileCure(denied, "/etc/token")).toContain("--allow-read=/etc/token");
  expect(fileCure(missing, "/etc/token")).toContain("owner and mode");
});
