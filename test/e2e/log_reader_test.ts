/**
 * A gateway whose log nobody reads any more goes on serving, and does not log its lost lines for ever.
 *
 * @module
 */
import { afterEach, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { netwallCommand, ROOT, RUNTIMES } from "../support/processes.ts";

const closers: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** Hundredths of a second of processor time that a process has used. */
function cpuTicks(child: ChildProcess): number {
  const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(" ");
  return Number(fields[13]) + Number(fields[14]);
}

for (const runtime of RUNTIMES) {
  test(`a gateway on ${runtime} outlives the reader of its log`, async () => {
    const data = mkdtempSync(join(tmpdir(), "netwall-log-"));
    closers.push(() => rmSync(data, { recursive: true, force: true }));
    const args = ["--http", "127.0.0.1:0", "--admin", "off", "--data", data, "--log-access"];
    const [program, ...rest] = [...netwallCommand(runtime, "gateway"), ...args];
    const child = spawn(program!, rest, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    closers.push(() => child.kill("SIGKILL"));
    let output = "";
    const http = await new Promise<string>((resolve) =>
      child.stdout.on("data", (chunk) => {
        output += chunk;
        const line = /^ready (\{.*\})\n/.exec(output);
        if (line) resolve((JSON.parse(line[1]!) as { http: string }).http);
      })
    );
    child.stderr.destroy();
    for (let i = 0; i < 5; i++) {
      const response = await fetch(`http://${http}/`);
      expect(response.status).toBe(404);
      await response.text();
    }
    const before = cpuTicks(child);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    // Idle it uses next to nothing; a line that is logged about each lost line uses all there is.
    expect(cpuTicks(child) - before).toBeLessThan(50);
    expect((await fetch(`http://${http}/`)).status).toBe(404);
    const exit = new Promise((resolve) => child.on("exit", (code) => resolve(code)));
    child.kill("SIGTERM");
    expect(await exit).toBe(0);
  }, 30_000);
}
