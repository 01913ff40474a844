/**
 * A program that seals itself and then tries what it may and what it may not, to be run as a process of its own.
 *
 * Its first argument is JSON: the options of the seal, and the attempts. It prints one line of JSON: its process id,
 * what the seal gave, and what came of each attempt.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { landlockVersion, restrictThread } from "../../lib/runtime/landlock.ts";
import { openSystemCalls } from "../../lib/runtime/system_calls.ts";
import { seal } from "../../lib/seal/seal.ts";
import type { SealOptions } from "../../lib/seal/seal_options.ts";

/** One thing to try: its name, and what it is tried on. */
export type Attempt = readonly [name: string, subject: number | string];

interface Order {
  readonly options: Partial<SealOptions>;
  readonly attempts: readonly Attempt[];
}

type Result = string | number;

function connect(to: number | string): Promise<Result> {
  return new Promise((resolve) => {
    const socket = typeof to === "number"
      ? net.connect({ host: "127.0.0.1", port: to })
      : net.connect({ path: to });
    socket.on("connect", () => resolve("open")).on("connect", () => socket.destroy());
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.name));
  });
}

function listen(on: number | string): Promise<Result> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.name));
    const onListening = (): void => {
      server.close();
      resolve("open");
    };
    if (typeof on === "number") server.listen(on, "127.0.0.1", onListening);
    else server.listen(on, onListening);
  });
}

/** The same from another thread, without this module: a worker from a text works in an executable too. */
function inWorker(port: number): Promise<Result> {
  const text = `const { parentPort } = require("node:worker_threads");
const socket = require("node:net").connect({ host: "127.0.0.1", port: ${port} });
socket.on("connect", () => { parentPort.postMessage("open"); socket.destroy(); });
socket.on("error", (error) => parentPort.postMessage(error.code));`;
  return new Promise((resolve) => {
    const worker = new Worker(text, { eval: true });
    worker.once("message", (result: Result) => {
      resolve(result);
      void worker.terminate();
    });
    worker.once("error", (error) => resolve(String(error)));
  });
}

/** Another program. `bash` dials with a name of its own; its message holds the words of the error. */
function inChild(port: number): Result {
  const { stderr, status } = spawnSync("bash", ["-c", `exec 3<>/dev/tcp/127.0.0.1/${port}`], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"] ?? "/bin:/usr/bin", LC_ALL: "C" },
  });
  // Deno gives an empty result for a program that it may not start.
  if (typeof stderr !== "string") return "no child";
  return status === 0 ? "open" : /(Permission denied|Connection refused)/.exec(stderr)?.[1] ?? stderr;
}

/** Adds rules of its own that would allow everything: the kernel takes them, on top of those that hold. */
async function undo(port: number): Promise<Result> {
  const calls = openSystemCalls();
  if (typeof calls === "string") return calls;
  const rules = { connectPorts: [port], bindPorts: [port, 0], socketFolders: ["/"] };
  const { kind } = restrictThread(calls, landlockVersion(calls), rules);
  // PR_SET_NO_NEW_PRIVS cannot be taken back.
  const privileges = calls.call("prctl", 38, 0);
  return `${kind} ${privileges < 0 ? "kept" : "lost"} ${await connect(port)} ${await listen(port)}`;
}

/** Moves a file to another folder, which Landlock denies unless it is told not to. */
function moveFile(): Result {
  const folder = mkdtempSync(join(tmpdir(), "netwall-seal-"));
  try {
    mkdirSync(join(folder, "a"));
    writeFileSync(join(folder, "file"), "x");
    renameSync(join(folder, "file"), join(folder, "a", "file"));
    return "moved";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function signal(pid: number): Result {
  try {
    process.kill(pid, 0);
    return "sent";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

async function attempt(name: string, subject: number | string): Promise<Result> {
  try {
    return await attemptOnly(name, subject);
  } catch (error) {
    // What the permissions of Deno deny is thrown.
    return (error as Error).name;
  }
}

async function attemptOnly(name: string, subject: number | string): Promise<Result> {
  switch (name) {
    case "connect":
      return await connect(subject);
    case "listen":
      return await listen(subject);
    case "worker":
      return await inWorker(Number(subject));
    case "child":
      return inChild(Number(subject));
    case "undo":
      return await undo(Number(subject));
    case "move":
      return moveFile();
    case "signal":
      return signal(Number(subject));
    case "marker":
      return process.env["_NETWALL_SEAL"] ?? "none";
    default:
      throw new TypeError(`Cannot try ${name}: it is not known`);
  }
}

async function main(): Promise<void> {
  const { options, attempts } = JSON.parse(process.argv[2] ?? "") as Order;
  const outcome = seal({ connect: [], listen: [], connectUnix: [], listenUnix: [], read: [], ...options });
  const results: Result[] = [];
  for (const [name, subject] of attempts) results.push(await attempt(name, subject));
  const { pid, argv, env } = process;
  const report = { pid, outcome, results, args: argv.slice(3), cwd: process.cwd(), given: env["GIVEN"] };
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

await main();
