/**
 * The helpers of end-to-end tests: a helper that hides a failure would hide everyone's.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { bunBinary, denoBinary, freePort, netwallCommand, ProcessGroup, useProcesses } from "./processes.ts";

const processes = useProcesses();

test("start() gives the addresses of the ready line and stops on a signal", async () => {
  const script = 'process.on("SIGTERM", () => process.exit(7)); console.log("noise"); ' +
    'setTimeout(() => console.log(`ready {"http":"127.0.0.1:1"}`), 50); setInterval(() => {}, 1000);';
  for (const command of [[bunBinary(), "-e"], [denoBinary(), "eval"]]) {
    const child = processes.start([...command, script]);
    expect(await child.ready).toEqual({ http: "127.0.0.1:1" });
    expect(await child.stop()).toEqual({ code: 7, signal: null });
  }
});

test("ready rejects with the standard error of a process that ended", async () => {
  const child = processes.start([bunBinary(), "-e", 'console.error("no such key"); process.exit(2)']);
  await expect(child.ready).rejects.toThrow("no such key");
  expect(await child.exit).toEqual({ code: 2, signal: null });
});

test("ready rejects when the program does not exist", async () => {
  const child = processes.start(["/nonexistent/program"]);
  await expect(child.ready).rejects.toThrow("ENOENT");
});

test("waitFor() rejects when nothing comes in time", async () => {
  const child = processes.start([bunBinary(), "-e", "setInterval(() => {}, 1000)"]);
  await expect(child.waitFor("stdout", /never/, 100)).rejects.toThrow("after 100 ms");
  child.kill();
  expect((await child.exit).signal).toBe("SIGKILL");
});

test("run() passes input on and gives the output", async () => {
  expect(await processes.run(["cat"], { input: "abc" })).toBe("abc");
  await expect(processes.run(["false"])).rejects.toThrow("ended with 1");
});

test("output is bounded", async () => {
  const child = processes.start([bunBinary(), "-e", 'process.stdout.write("x".repeat(1 << 20) + "end")']);
  await child.exit;
  expect(child.stdout()).toHaveLength(256 * 1024);
  expect(child.stdout().endsWith("end")).toBe(true);
});

test("dispose() ends processes and removes folders", async () => {
  const group = new ProcessGroup();
  const path = group.folder();
  const child = group.start([bunBinary(), "-e", "setInterval(() => {}, 1000)"]);
  await group.dispose();
  expect((await child.exit).signal).toBe("SIGKILL");
  expect(existsSync(path)).toBe(false);
});

test("netwallCommand() says how to build what is not built", () => {
  if (existsSync(join(import.meta.dirname ?? ".", "..", "..", "dist", "netwall-agent"))) return;
  expect(() => netwallCommand("executable", "agent")).toThrow("npm run compile");
});

test("freePort() gives ports that can be listened on", async () => {
  const port = await freePort();
  expect(port).toBeGreaterThan(1023);
  expect(port).toBeLessThan(65_536);
});

test("a forked child neither hangs dispose() nor outlives it", async () => {
  const group = new ProcessGroup();
  const child = group.start(["sh", "-c", "sleep 1000 & echo $!; wait"], { ownGroup: true });
  const [, forked = ""] = await child.waitFor("stdout", /^(\d+)\n/);
  await group.dispose();
  // A process that ended but was not reaped yet still has a folder, with the state Z.
  const state = existsSync(`/proc/${forked}/stat`)
    ? readFileSync(`/proc/${forked}/stat`, "utf8")
    : "(gone) Z";
  expect(state.slice(state.lastIndexOf(")"))).toMatch(/^\) Z/);
});
