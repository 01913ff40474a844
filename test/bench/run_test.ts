/**
 * Tests of the command lines of the bench and of chaos: nothing runs here, and no mistake shows a stack.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { bunBinary, ROOT } from "../support/processes.ts";

function run(script: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const path = join(ROOT, "test", script, "run.ts");
  return spawnSync(bunBinary(), [path, ...args], { encoding: "utf8", timeout: 20_000 });
}

for (const script of ["bench", "chaos"]) {
  const usage = new RegExp(`^Usage: npm run ${script} -- `, "m");
  test(`${script}: --help prints the usage, and a wrong flag too`, () => {
    const help = run(script, "--help");
    expect([help.status, help.stderr]).toEqual([0, ""]);
    expect(help.stdout).toMatch(usage);
    for (const args of [["--nope"], ["word"], ["--only"], ["--quick=1"]]) {
      const { status, stdout, stderr } = run(script, ...args);
      expect([args, status, stdout]).toEqual([args, 2, ""]);
      expect(stderr).toMatch(usage);
      expect(stderr).not.toMatch(/^ +at /m);
    }
    const { status, stderr } = run(script, "--only", "nothing");
    expect(status).toBe(2);
    expect(stderr).toMatch(/^There is no .* "nothing": use one of /);
  });
}
