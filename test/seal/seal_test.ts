/**
 * A sealed process reaches what it needs and nothing else, by no way it has, and none says that it is sealed when it
 * is not. The processes are real, on Bun under Linux for Landlock and on Deno for permissions.
 *
 * @module
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { CallName } from "../../lib/runtime/system_calls.ts";
import { seal, sealForecast, type SealMachine } from "../../lib/seal/seal.ts";
import type { SealOptions, SealOutcome } from "../../lib/seal/seal_options.ts";
import { bunBinary, denoBinary, ROOT } from "../support/processes.ts";
import type { Attempt } from "./seal_child.ts";

const CHILD = join(ROOT, "test/seal/seal_child.ts");
const CHILD_MS_MAX = 20_000;
const NOTHING: SealOptions = { connect: [], listen: [], connectUnix: [], listenUnix: [], read: [] };

interface Report {
  readonly pid: number;
  readonly outcome: SealOutcome;
  readonly results: readonly (string | number)[];
  readonly args: readonly string[];
  readonly cwd: string;
  readonly given?: string;
}

interface Run {
  readonly command: readonly string[];
  readonly options?: Partial<SealOptions>;
  readonly attempts?: readonly Attempt[];
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Runs a child to its end. Its one line on standard output came through the start within the start. */
async function run(run: Run): Promise<Report & { spawned: number }> {
  const { spawn } = await import("node:child_process");
  const order = JSON.stringify({ options: run.options ?? {}, attempts: run.attempts ?? [] });
  const [file, ...first] = run.command;
  const child = spawn(file!, [...first, order, ...(run.args ?? [])], {
    cwd: run.cwd ?? ROOT,
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", NO_COLOR: "1", ...run.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), CHILD_MS_MAX);
  let [output, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (errors += text));
  await new Promise((resolve) => child.on("close", resolve));
  clearTimeout(timer);
  if (!output.startsWith("{")) throw new Error(`Cannot read the report of a child: ${output}${errors}`);
  return { ...JSON.parse(output) as Report, spawned: child.pid ?? -1 };
}

/** A listener on this side, which counts who came. */
async function target(path?: string): Promise<{ port: number; server: net.Server }> {
  const server = net.createServer((socket) => void socket.on("error", () => {}).end());
  await new Promise<void>((resolve) => {
    if (path === undefined) server.listen(0, "127.0.0.1", resolve);
    else server.listen(path, resolve);
  });
  const address = server.address();
  return { server, port: address !== null && typeof address === "object" ? address.port : 0 };
}

/** Why Landlock cannot be tried here, if so: only what the kernel says of itself counts, not a fault of ours. */
const noLandlock = ((): string => {
  if (process.platform !== "linux") return "this is no Linux";
  const { stdout } = spawnSync(bunBinary(), [CHILD, '{"options":{},"attempts":[]}'], { encoding: "utf8" });
  return /the kernel has (?:no )?Landlock[^"]*|Landlock is switched off|a seccomp filter denies/.exec(stdout)
    ?.[0] ??
    "";
})();
const note = noLandlock === "" ? "" : ` (skipped: ${noLandlock})`;

describe(`a process sealed by Landlock${note}`, () => {
  let folder = "";
  let allowed: Awaited<ReturnType<typeof target>>;
  let denied: Awaited<ReturnType<typeof target>>;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "netwall-seal-"));
    [allowed, denied] = [await target(), await target()];
  });

  afterAll(() => {
    allowed.server.close();
    denied.server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const onBun = [bunBinary(), CHILD];

  test.skipIf(noLandlock !== "")(
    "dials what it may and nothing else, from no thread and no child",
    async () => {
      const options = { connect: [{ host: "127.0.0.1", port: allowed.port }] };
      const { outcome, results, pid, spawned } = await run({
        command: onBun,
        options,
        attempts: [
          ["connect", allowed.port],
          ["connect", denied.port],
          ["worker", allowed.port],
          ["worker", denied.port],
          ["child", allowed.port],
          ["child", denied.port],
          ["listen", 0],
          ["listen", allowed.port],
          ["listen", denied.port],
        ],
      });
      expect(outcome.kind).toBe("sealed");
      expect(results).toEqual([
        ...["open", "EACCES", "open", "EACCES", "open", "Permission denied"],
        ...["EACCES", "EACCES", "EACCES"],
      ]);
      // It took its own place: whoever started it and waits for it notices nothing.
      expect(pid).toBe(spawned);
    },
  );

  test.skipIf(noLandlock !== "")("cannot undo it, and still moves files", async () => {
    const { results } = await run({
      command: onBun,
      attempts: [["undo", denied.port], ["connect", denied.port], ["move", ""], ["signal", process.pid]],
    });
    expect(results.slice(0, 3)).toEqual(["restricted kept EACCES EACCES", "EACCES", "moved"]);
    // Kernels before 6.12 do not hold signals.
    expect(["EPERM", "sent"]).toContain(String(results[3]));
  });

  test.skipIf(noLandlock !== "")("listens at its doors alone", async () => {
    const free = await target();
    free.server.close();
    const inside = join(folder, "door.sock");
    const { outcome, results } = await run({
      command: onBun,
      options: { listen: [{ host: "127.0.0.1", port: free.port }], listenUnix: [inside] },
      attempts: [
        ["listen", free.port],
        ["listen", 0],
        ["listen", inside],
        ["listen", join(tmpdir(), `netwall-outside-${process.pid}.sock`)],
      ],
    });
    expect(results).toEqual(["open", "EACCES", "open", "EACCES"]);
    expect(outcome.kind === "sealed" ? outcome.detail : "").toMatch(
      new RegExp(`dials TCP ports none; listens on TCP ports ${free.port}; makes unix sockets in ${folder}`),
    );
  });

  test.skipIf(noLandlock !== "")(
    "with port 0 listens where the kernel picks, not where it likes",
    async () => {
      const free = await target();
      free.server.close();
      const { results } = await run({
        command: onBun,
        options: { listen: [{ host: "127.0.0.1", port: 0 }] },
        attempts: [["listen", 0], ["listen", free.port]],
      });
      expect(results).toEqual(["open", "EACCES"]);
    },
  );

  test.skipIf(noLandlock !== "")("dials unix sockets, which are held by their files alone", async () => {
    const path = join(folder, "target.sock");
    const { server } = await target(path);
    const { results } = await run({ command: onBun, attempts: [["connect", path]] });
    server.close();
    expect(results).toEqual(["open"]);
  });

  test.skipIf(noLandlock !== "")(
    "keeps its arguments, environment and folder, and no trace of the start",
    async () => {
      const args = ["a b", "", "--flag=ü", "'\"$"];
      const env = { GIVEN: "x=y\nz", EMPTY: "" };
      const report = await run({ command: onBun, args, env, cwd: folder, attempts: [["marker", ""]] });
      expect({ args: report.args, given: report.given, cwd: report.cwd }).toEqual({
        args,
        given: env.GIVEN,
        cwd: folder,
      });
      expect(report.results).toEqual(["none"]);
      expect(report.outcome.kind).toBe("sealed");
    },
  );

  test.skipIf(noLandlock !== "")("does not believe a marker of another process", async () => {
    const { outcome, results } = await run({
      command: onBun,
      env: { _NETWALL_SEAL: "1.1" },
      attempts: [["connect", denied.port]],
    });
    expect([outcome.kind, ...results]).toEqual(["sealed", "EACCES"]);
  });

  test.skipIf(noLandlock !== "")(
    "does not say sealed when the marker is exact and nothing holds",
    () => {
      // The shell knows its own id and start, and `exec` keeps both: as good as a forgery gets.
      const forge =
        'read -r line < "/proc/$$/stat"; set -- ${line##*) }; _NETWALL_SEAL="$$.${20}" exec "$BUN" "$CHILD" "$ORDER"';
      const order = JSON.stringify({ options: {}, attempts: [["connect", denied.port]] });
      const env = { ...process.env, BUN: bunBinary(), CHILD, ORDER: order };
      const { stdout } = spawnSync("bash", ["-c", forge], { encoding: "utf8", env, timeout: CHILD_MS_MAX });
      // The server of the denied port waits in this thread: the kernel takes the connection for it, which is enough.
      const { outcome, results } = JSON.parse(stdout) as Report;
      expect(outcome.kind).toBe("unavailable");
      expect(outcome.kind === "unavailable" ? outcome.reason : "").toMatch(
        /^the rules were set but do not hold: dialling port 65535 gave ENETUNREACH, binding it no error, and privil/,
      );
      expect(results).toEqual(["open"]);
    },
  );

  test.skipIf(noLandlock !== "")("is sealed as a bundle and as an executable too", async () => {
    const bundle = join(folder, "child.js");
    const executable = join(folder, "child");
    execFileSync(bunBinary(), ["build", "--target=node", `--outfile=${bundle}`, CHILD], { stdio: "pipe" });
    const autoload = ["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"];
    const flags = [
      "build",
      "--compile",
      "--bytecode",
      "--format=esm",
      ...autoload,
      `--outfile=${executable}`,
    ];
    execFileSync(bunBinary(), [...flags, bundle], { stdio: "pipe", cwd: folder });
    const attempts: Attempt[] = [["connect", allowed.port], ["connect", denied.port], [
      "worker",
      denied.port,
    ]];
    const options = { connect: [{ host: "127.0.0.1", port: allowed.port }] };
    const unlinked = join(folder, "unlinked");
    cpSync(executable, unlinked);
    const commands = [
      [bunBinary(), bundle],
      [executable],
      // Gone from its path before it starts itself again: the shell holds it open and removes it.
      ["bash", "-c", `exec 9< "$0"; rm "$0"; exec /proc/self/fd/9 "$@"`, unlinked],
    ];
    for (const command of commands) {
      const { outcome, results, args } = await run({ command, options, attempts, args: ["one", "two"] });
      expect({ kind: outcome.kind, results, args }).toEqual({
        ...{ kind: "sealed", results: ["open", "EACCES", "EACCES"], args: ["one", "two"] },
      });
    }
  });

  test.skipIf(noLandlock !== "")("is not to be had for a door in a folder that is not there", async () => {
    const listenUnix = [join(folder, "missing", "door.sock")];
    const { outcome, results } = await run({
      command: onBun,
      options: { listenUnix },
      attempts: [["connect", denied.port]],
    });
    const reason = `the kernel refused openat for ${join(folder, "missing")}: ENOENT`;
    expect(outcome).toEqual({ kind: "unavailable", reason });
    expect(results).toEqual(["open"]);
  });

  test.skipIf(noLandlock !== "")("is not to be had without memory for bun:ffi", async () => {
    const { outcome } = await run({ command: onBun, env: { BUN_JSC_useJIT: "0" } });
    expect(outcome.kind === "unavailable" ? outcome.reason : "").toMatch(/^the C library cannot be called/);
  });
});

/** A machine of which every part is made up. */
function machine(
  overrides: Partial<SealMachine> & { version?: number; errno?: Partial<Record<CallName, number>> },
): {
  machine: SealMachine;
  asked: CallName[];
  started: Readonly<Record<string, string | undefined>>[];
} {
  const { version = 7, errno = {}, ...rest } = overrides;
  const asked: CallName[] = [];
  const started: Readonly<Record<string, string | undefined>>[] = [];
  return {
    asked,
    started,
    machine: {
      permissions: undefined,
      calls: {
        call(name, ...args): number {
          if (name === "landlock_create_ruleset" && args[0] === 0) return version;
          asked.push(name);
          return -(errno[name] ?? 0);
        },
      },
      env: {},
      identity: () => "7.1234",
      noNewPrivileges: () => true,
      startAgain(env): never {
        started.push(env);
        throw new Error("started");
      },
      ...rest,
    },
  };
}

const { EACCES, ENETUNREACH, ENOSYS, EOPNOTSUPP, EPERM, EINVAL, E2BIG } = constants.errno;

describe("seal() on a machine that", () => {
  const cases: [string, Parameters<typeof machine>[0], RegExp][] = [
    ["has no system calls", { calls: "this runtime cannot" }, /^this runtime cannot$/],
    [
      "has no Landlock",
      { version: -ENOSYS },
      /^the kernel has no Landlock: Linux 6\.7 or newer can have it$/,
    ],
    ["has it switched off", { version: -EOPNOTSUPP }, /^Landlock is switched off: add landlock to lsm=/],
    [
      "denies it by seccomp",
      { version: -EPERM },
      /^a seccomp filter denies Landlock \(EPERM\): allow landlock_create/,
    ],
    ["fails oddly", { version: -EINVAL }, /^the kernel does not tell its version of Landlock: EINVAL$/],
    [
      "has a Landlock without ports",
      { version: 3 },
      /^the kernel has Landlock 3, which cannot hold ports: Linux 6\.7/,
    ],
    [
      "is too deep in sandboxes",
      { errno: { landlock_restrict_self: E2BIG } },
      /^the kernel refused landlock_restrict_self: E2BIG$/,
    ],
    [
      "denies a rule",
      { errno: { landlock_add_rule: EINVAL } },
      /^the kernel refused landlock_add_rule for port 443: EINVAL$/,
    ],
    ["cannot start it again", {}, /^the agent cannot start again inside: started$/],
  ];
  const options = { ...NOTHING, connect: [{ host: "edge.example", port: 443 }] };
  test.each(cases)("%s is unavailable", (_name, overrides, reason) => {
    const outcome = seal(options, machine(overrides).machine);
    expect(outcome.kind).toBe("unavailable");
    expect(outcome.kind === "unavailable" ? outcome.reason : "").toMatch(reason);
  });
  test("was each of these", () => expect(cases).toHaveLength(9));

  test("starts again with its own environment and a marker of its own", () => {
    const fake = machine({ env: { PATH: "/bin", _NETWALL_SEAL: "7.999" } });
    seal(options, fake.machine);
    expect(fake.started).toEqual([{ PATH: "/bin", _NETWALL_SEAL: "7.1234" }]);
    expect(fake.asked).toContain("landlock_restrict_self");
  });

  const verified: [string, Partial<Record<CallName, number>>, boolean, SealOutcome["kind"]][] = [
    ["holds", { connect: EACCES, bind: EACCES }, true, "sealed"],
    ["lets it dial", { connect: ENETUNREACH, bind: EACCES }, true, "unavailable"],
    ["lets it bind", { connect: EACCES }, true, "unavailable"],
    ["lets it gain privileges", { connect: EACCES, bind: EACCES }, false, "unavailable"],
    ["gives it no sockets to try", { socket: EPERM }, true, "unavailable"],
  ];
  test.each(verified)("in the second start %s", (_name, errno, held, kind) => {
    const env: Record<string, string | undefined> = { _NETWALL_SEAL: "7.1234" };
    const fake = machine({ errno, env, noNewPrivileges: () => held });
    expect(seal(options, fake.machine).kind).toBe(kind);
    // Never a third start, whatever the second finds, and no marker for the children.
    expect(fake.started).toHaveLength(0);
    expect(Object.keys(env)).toHaveLength(0);
    expect(fake.asked).not.toContain("landlock_restrict_self");
  });
  test("was tried in every way", () => expect(verified).toHaveLength(5));

  test("tries a port that no rule allows", () => {
    const tried: number[] = [];
    const fake = machine({ env: { _NETWALL_SEAL: "7.1234" } }).machine;
    const calls: SealMachine["calls"] = {
      call(name, ...args): number {
        if (name === "landlock_create_ruleset") return 7;
        if (args[1] instanceof Uint8Array) tried.push(args[1][2]! * 256 + args[1][3]!);
        return name === "socket" ? 5 : -EACCES;
      },
    };
    const ports = [65_535, 65_533].map((port) => ({ host: "a", port }));
    seal({ ...NOTHING, connect: ports, listen: [{ host: "a", port: 65_534 }] }, { ...fake, calls });
    expect(tried).toEqual([65_532, 65_532]);
  });

  test("is only looked at by sealForecast()", () => {
    const fake = machine({ version: 5 });
    const outcome = sealForecast({ ...options, listen: [{ host: "a", port: 0 }] }, fake.machine);
    expect(outcome).toEqual({
      kind: "sealed",
      detail:
        "Landlock 5: dials TCP ports 443; listens on TCP ports any that the kernel picks; makes unix sockets " +
        "in no folder",
    });
    expect(fake.asked).toHaveLength(0);
    expect(sealForecast(options, machine({ version: 3 }).machine).kind).toBe("unavailable");
  });
});

describe("a process on Deno", () => {
  const folder = mkdtempSync(join(tmpdir(), "netwall seal-"));
  const door = join(folder, "door.sock");
  const options = {
    connect: [{ host: "127.0.0.1", port: 9 }, { host: "::1", port: 9 }],
    listenUnix: [door],
    read: ["/etc/token"],
  };
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const deno = (
    ...flags: string[]
  ): readonly string[] => [denoBinary(), "run", "--no-prompt", ...flags, CHILD];
  const env = ["--allow-env"];

  test("with every permission is told the command that would seal it", async () => {
    const { outcome } = await run({ command: deno("-A"), options });
    expect(outcome.kind).toBe("unavailable");
    expect(outcome.kind === "unavailable" ? outcome.reason : "").toBe(
      "permissions are too wide (--allow-net without hosts, --allow-run, --allow-ffi and 1 more): " +
        "start it with deno run --no-prompt --no-remote " +
        `'--allow-net=127.0.0.1:9,[::1]:9,unix:${door}' ` +
        `'--allow-read=/etc/token,${door}' '--allow-write=${door}' ` +
        `--allow-env --allow-sys=hostname ${CHILD} …`,
    );
  });

  test("with just these is sealed, and denied the rest", async () => {
    const net = `--allow-net=127.0.0.1:9,[::1]:9,unix:${door}`;
    const files = [`--allow-read=/etc/token,${door}`, `--allow-write=${door}`];
    const attempts: Attempt[] = [
      ["connect", 9],
      ["listen", door],
      ["connect", 10],
      ["listen", join(folder, "other.sock")],
      ["child", 9],
      ["move", ""],
    ];
    const { outcome, results } = await run({
      command: deno("--no-remote", net, ...files, ...env),
      options,
      attempts,
    });
    expect(outcome).toEqual({
      kind: "sealed",
      detail: `Deno permissions: net only for 127.0.0.1:9, [::1]:9, unix:${door}`,
    });
    expect(results.slice(0, 2)).toEqual(["ECONNREFUSED", "open"]);
    expect(results.slice(2)).toEqual(["NotCapable", "NotCapable", "no child", "NotCapable"]);
  });

  test("that lacks what it needs is not sealed, and told the command that would do", async () => {
    const { outcome } = await run({ command: deno("--allow-net=127.0.0.1:9", ...env), options });
    const reason = outcome.kind === "unavailable" ? outcome.reason : "";
    expect(reason.split(": start it with ")).toEqual([
      `not allowed, though needed: --allow-net=[::1]:9, --allow-net=unix:${door}, --allow-read=/etc/token and 2 more`,
      "deno run --no-prompt --no-remote " +
      `'--allow-net=127.0.0.1:9,[::1]:9,unix:${door}' ` +
      `'--allow-read=/etc/token,${door}' '--allow-write=${door}' ` +
      `--allow-env --allow-sys=hostname ${CHILD} …`,
    ]);
  });

  test("with its unix socket but not its file is not sealed", async () => {
    const net = `--allow-net=127.0.0.1:9,[::1]:9,unix:${door}`;
    const flags = [net, `--allow-read=/etc/token,${door}`, ...env];
    const { outcome } = await run({ command: deno(...flags), options });
    const reason = outcome.kind === "unavailable" ? outcome.reason : "";
    expect(reason.startsWith(`not allowed, though needed: --allow-write=${door}: start it with `)).toBe(true);
  });

  const around = (address: string): string => `--allow-net for every address around ${address}`;
  const wide: [string, string][] = [
    ["--allow-net", "--allow-net without hosts"],
    [
      "--allow-net=0.0.0.0/0",
      `${around("1.0.0.1")}, ${around("10.255.255.254")}, ${around("64.0.0.1")} and 8 more`,
    ],
    ["--allow-net=10.0.0.0/8", around("10.255.255.254")],
    ["--allow-run=sh,bash", "--allow-run=sh, --allow-run=bash"],
    ["--allow-write=/tmp", "--allow-write=/tmp"],
    ["--allow-run", "--allow-run"],
    ["--allow-ffi", "--allow-ffi"],
    ["--allow-write", "--allow-write without paths"],
  ];
  for (const [flag, fault] of wide) {
    test(`with ${flag} is not sealed`, async () => {
      const { outcome } = await run({ command: deno(flag, ...env), options });
      const reason = outcome.kind === "unavailable" ? outcome.reason : "";
      // A checkout in /tmp is covered by it, and named too.
      const said = reason.split(": start it with deno run ")[0]!.replace(`, --allow-write=${ROOT}`, "");
      expect(said).toBe(`permissions are too wide (${fault})`);
    });
  }
});
