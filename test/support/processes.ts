/**
 * Child processes for end-to-end tests and the bench: started with a deadline, with their output kept, and
 * killed at the end whatever happens.
 *
 * A netwall process prints one line on standard output once it can serve: `ready {"http":"127.0.0.1:41233"}`.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll } from "bun:test";

/** The repository. */
export const ROOT = join(import.meta.dirname ?? ".", "..", "..");

/** How a script is run: from source, compiled, or as the bundle that is published. */
export type Runtime = "bun" | "deno" | "executable" | "bundle-bun" | "bundle-deno";

/** The two runtimes from source, which are always here. */
export const RUNTIMES: readonly Runtime[] = ["bun", "deno"];

/** Output kept per stream; what is older is forgotten. */
const OUTPUT_CHARS_MAX = 256 * 1024;

/** A process that is not ready by then has hung: starts take up to 0.3 s on an idle machine. */
const READY_MS_MAX = 20_000;

/** How long output may still come after the end: a forked child that holds the pipe open must not hang the test. */
const OUTPUT_MS_MAX = 1_000;

/** How long `stop` waits before it kills. */
const STOP_MS_MAX = 15_000;

/** What the ready line holds: real addresses by listener name, such as `http` and `admin`. */
export type ReadyLine = Readonly<Record<string, string | undefined>>;

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** What may be set for a process. */
export interface ProcessOptions {
  /** Added to this process's own environment; undefined removes a name. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Its working folder. @default the repository */
  readonly cwd?: string;
  /** Written to its standard input, which is closed after it. @default nothing */
  readonly input?: string;
  /**
   * For programs that fork: makes a process group, and `kill` ends all of it. Not for everything, as a terminal's
   * Ctrl-C does not reach another group. @default false
   */
  readonly ownGroup?: boolean;
}

/** A process that was started. */
export interface RunningProcess {
  readonly pid: number;
  /** Settles once it printed its ready line; rejects with its output when it ends first or takes too long. */
  readonly ready: Promise<ReadyLine>;
  /** Settles when it has ended and its output is whole. Never rejects. */
  readonly exit: Promise<Exit>;
  /** What it wrote so far, the last 256 KiB of it. */
  stdout(): string;
  stderr(): string;
  /**
   * Waits for text in what it writes, past and to come.
   *
   * @throws {Error} With its output when it ends or takes longer than `timeoutMs` (default 20 s).
   */
  waitFor(stream: "stdout" | "stderr", pattern: RegExp, timeoutMs?: number): Promise<RegExpMatchArray>;
  /** Sends a signal (default SIGTERM) and waits; kills when it has not ended after 15 s. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
  /** Kills at once. */
  kill(): void;
}

/** One child, its output and those who wait for it. */
class Child implements RunningProcess {
  readonly exit: Promise<Exit>;
  readonly pid: number;
  readonly #process: ChildProcess;
  readonly #output = { stdout: "", stderr: "" };
  readonly #waiting = new Set<() => void>();
  readonly #argv: readonly string[];
  readonly #ownGroup: boolean;
  #ready: Promise<ReadyLine> | undefined;
  #ended: Exit | undefined;

  constructor(argv: readonly string[], options: ProcessOptions) {
    const [file, ...args] = argv;
    if (file === undefined) throw new TypeError("Cannot start a process: the command is empty");
    this.#argv = argv;
    this.#ownGroup = options.ownGroup ?? false;
    // Deno asks its makers for a newer version otherwise, and a test that counts connections sees it.
    const env = { ...process.env, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...options.env };
    const { cwd = ROOT } = options;
    this.#process = spawn(file, args, { cwd, env, stdio: "pipe", detached: this.#ownGroup });
    this.pid = this.#process.pid ?? -1;
    // A child that never reads its input closes the pipe early: that is no fault.
    this.#process.stdin?.on("error", () => {});
    this.#process.stdin?.end(options.input ?? "");
    for (const name of ["stdout", "stderr"] as const) {
      const stream = this.#process[name];
      stream?.setEncoding("utf8");
      stream?.on("data", (text: string) => {
        this.#output[name] = (this.#output[name] + text).slice(-OUTPUT_CHARS_MAX);
        this.#wake();
      });
    }
    this.exit = new Promise((resolve) => {
      const end = (exit: Exit): void => {
        this.#ended ??= exit;
        resolve(this.#ended);
        this.#wake();
      };
      this.#process.once("error", (error) => {
        this.#output.stderr += `${error.message}\n`;
        end({ code: null, signal: null });
      });
      this.#process.once("close", (code, signal) => end({ code, signal }));
      this.#process.once("exit", (code, signal) => {
        const timer = setTimeout(() => end({ code, signal }), OUTPUT_MS_MAX);
        this.#process.once("close", () => clearTimeout(timer));
      });
    });
  }

  get ready(): Promise<ReadyLine> {
    this.#ready ??= this.waitFor("stdout", /^ready ?(.*)\n/m, READY_MS_MAX)
      .then(([, json]) => json === undefined || json === "" ? {} : JSON.parse(json) as ReadyLine);
    return this.#ready;
  }

  stdout(): string {
    return this.#output.stdout;
  }

  stderr(): string {
    return this.#output.stderr;
  }

  async waitFor(
    stream: "stdout" | "stderr",
    pattern: RegExp,
    timeoutMs = READY_MS_MAX,
  ): Promise<RegExpMatchArray> {
    const deadlineMs = Date.now() + timeoutMs;
    for (;;) {
      const match = this.#output[stream].match(pattern);
      if (match !== null) return match;
      if (this.#ended !== undefined) throw this.#fault(`it ended with ${JSON.stringify(this.#ended)}`);
      const leftMs = deadlineMs - Date.now();
      if (leftMs <= 0) throw this.#fault(`nothing in ${stream} matches ${pattern} after ${timeoutMs} ms`);
      await this.#change(leftMs);
    }
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Exit> {
    this.#signal(this.pid, signal);
    const timer = setTimeout(() => this.kill(), STOP_MS_MAX);
    try {
      return await this.exit;
    } finally {
      clearTimeout(timer);
    }
  }

  kill(): void {
    this.#signal(this.#ownGroup ? -this.pid : this.pid, "SIGKILL");
  }

  /**
   * By process id, not by `ChildProcess.kill`: after that, Deno reports the signal as the cause of the end even
   * when the child caught it and left with a code.
   */
  #signal(target: number, signal: NodeJS.Signals): void {
    if (this.#ended !== undefined || this.pid <= 0) return;
    try {
      process.kill(target, signal);
    } catch {
      // It ended a moment ago: `exit` is about to settle.
    }
  }

  /** Settles at the next output or end, or when the time is up. */
  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, timeoutMs);
      this.#waiting.add(wake);
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  #fault(state: string): Error {
    return new Error(
      `Cannot wait for process \`${this.#argv.join(" ")}\`: ${state}\n` +
        `--- its standard error\n${this.stderr()}\n--- its standard output\n${this.stdout()}`,
    );
  }
}

/** Processes and folders that end together. Made by `useProcesses` in tests, by hand in the bench. */
export class ProcessGroup {
  readonly #children = new Set<Child>();
  readonly #folders = new Set<string>();
  readonly #onExit = (): void => this.#destroy();

  constructor() {
    // When the runner itself dies, nothing may be left behind.
    process.on("exit", this.#onExit);
  }

  /** Starts any command. It is killed when the group is disposed. */
  start(argv: readonly string[], options: ProcessOptions = {}): RunningProcess {
    const child = new Child(argv, options);
    this.#children.add(child);
    void child.exit.then(() => this.#children.delete(child));
    return child;
  }

  /** Starts `gateway.ts` with arguments; await `ready` for its addresses. */
  gateway(runtime: Runtime, args: readonly string[], options?: ProcessOptions): RunningProcess {
    return this.start([...netwallCommand(runtime, "gateway"), ...args], options);
  }

  /** Starts `agent.ts` with arguments; it is ready once it is linked. */
  agent(runtime: Runtime, args: readonly string[], options?: ProcessOptions): RunningProcess {
    return this.start([...netwallCommand(runtime, "agent"), ...args], options);
  }

  /**
   * Runs a command to its end and gives what it wrote on standard output.
   *
   * @throws {Error} With its standard error when it ends with anything but 0.
   */
  async run(argv: readonly string[], options?: ProcessOptions): Promise<string> {
    const child = this.start(argv, options);
    const { code, signal } = await child.exit;
    if (code === 0) return child.stdout();
    throw new Error(`Cannot run \`${argv.join(" ")}\`: it ended with ${code ?? signal}: ${child.stderr()}`);
  }

  /** An empty folder, removed with the group. */
  folder(name = "data"): string {
    const path = mkdtempSync(join(tmpdir(), `netwall-${name}-`));
    this.#folders.add(path);
    return path;
  }

  /** Kills every process that still runs, waits for their end, and removes the folders. */
  async dispose(): Promise<void> {
    const children = [...this.#children];
    for (const child of children) child.kill();
    await Promise.all(children.map((child) => child.exit));
    this.#destroy();
    process.off("exit", this.#onExit);
  }

  #destroy(): void {
    for (const child of this.#children) child.kill();
    for (const path of this.#folders) rmSync(path, { recursive: true, force: true });
    this.#folders.clear();
  }
}

/** A group for the test file (or `describe`) that calls this: disposed after its last test. */
export function useProcesses(): ProcessGroup {
  const group = new ProcessGroup();
  afterAll(() => group.dispose());
  return group;
}

/** The bun binary: this one when the tests run on Bun, else the installed one. */
export function bunBinary(): string {
  return process.versions["bun"] === undefined ? join(ROOT, "node_modules", ".bin", "bun") : process.execPath;
}

/** The deno binary itself. The npm wrapper is only the last resort, as it does not pass signals on. */
export function denoBinary(): string {
  if (process.versions["deno"] !== undefined) return process.execPath;
  const platforms = join(ROOT, "node_modules", "@deno");
  const paths = existsSync(platforms)
    ? readdirSync(platforms).map((name) => join(platforms, name, "deno"))
    : [];
  return paths.find((path) => existsSync(path)) ?? join(ROOT, "node_modules", ".bin", "deno");
}

/** The file that a runtime runs: a script, a bundle or an executable. */
function netwallFile(runtime: Runtime, script: "gateway" | "agent"): string {
  if (runtime === "bun" || runtime === "deno") return join(ROOT, `${script}.ts`);
  return join(ROOT, "dist", runtime === "executable" ? `netwall-${script}` : `netwall-${script}.js`);
}

/** Whether a runtime can be used: bundles and executables must have been built. For `test.skipIf`. */
export function isBuilt(runtime: Runtime): boolean {
  return existsSync(netwallFile(runtime, "gateway")) && existsSync(netwallFile(runtime, "agent"));
}

/**
 * The command that runs a netwall script, for those who start it themselves.
 *
 * @throws {Error} When the bundle or executable has not been built.
 */
export function netwallCommand(runtime: Runtime, script: "gateway" | "agent"): string[] {
  const file = netwallFile(runtime, script);
  if (!existsSync(file)) {
    const command = runtime === "executable" ? "npm run compile" : "npm run build";
    throw new Error(`Cannot start netwall: ${file} does not exist: run \`${command}\` first`);
  }
  const sealed = ["--no-config", "--no-npm", "--no-remote", "--cached-only"];
  switch (runtime) {
    case "bun":
    case "bundle-bun":
      return [bunBinary(), file];
    case "deno":
      return [denoBinary(), "run", "-A", file];
    case "bundle-deno":
      return [denoBinary(), "run", ...sealed, "-A", file];
    case "executable":
      return [file];
  }
}

/**
 * A port of 127.0.0.1 that nobody listened on a moment ago.
 *
 * Another process can take it before it is used: prefer port 0 and the ready line wherever that is possible.
 */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === "object") resolve(address.port);
        else reject(new Error("Cannot find a free port: the listener has no address"));
      });
    });
  });
}
