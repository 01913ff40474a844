/**
 * The agent's executable in a container with nothing: no network, no shell, a root that is read only, a user without
 * rights, no capabilities, and a kernel that refuses it to listen. What it serves comes in by unix sockets, and it
 * dials the gateway by one.
 *
 * Under podman where that runs; else under bubblewrap, which has no profile for system calls, so that one point is
 * left out there and the output says so.
 *
 * @module
 */
import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { type Doors, download, echo, talk, upload } from "../chaos/visit.ts";
import { bunBinary, netwallCommand, ROOT, type RunningProcess, useProcesses } from "../support/processes.ts";
import { ensurePackage, findBinary } from "../support/services.ts";
import { ensureBuilt, mintFor, portOf, type RunningGateway, startGateway, TEST_MS_MAX } from "./wall.ts";

/** The user and the group inside, as distroless images have them. */
const NOBODY = 65_532;

/** The profile that is published: a process under it cannot listen. */
const SECCOMP = join(ROOT, "examples", "seccomp", "agent.json");

const MIB = 1 << 20;

/** Without CAP_SYS_RESOURCE the runtime may not raise these limits, so they are those that every machine grants. */
const containersConf = (runtime: string): string => `
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=8192:8192"]
[engine]
events_logger = "file"
cgroup_manager = "cgroupfs"
runtime = "${runtime}"
`;

const processes = useProcesses();

/** A way to run a program in a container. */
interface Box {
  readonly name: "podman" | "bubblewrap";
  /** The command for a program inside; `env` is its whole environment. */
  command(
    name: string,
    argv: readonly string[],
    env: Readonly<Record<string, string>>,
    isDeaf: boolean,
  ): string[];
  readonly env: Readonly<Record<string, string>>;
  /** The process id of what runs under a name, as the machine sees it. */
  pid(name: string, started: RunningProcess): number;
}

const cleanUps = new Set<() => void>();
const cleanUp = (): void => {
  for (const each of cleanUps) each();
  cleanUps.clear();
};
process.on("exit", cleanUp);
afterAll(() => {
  cleanUp();
  process.off("exit", cleanUp);
});

/** A root with the executable, what it links to, and no more: no shell, no tools. */
function makeRoot(): string {
  const root = processes.folder("root");
  const [executable = ""] = netwallCommand("executable", "agent");
  const copy = (from: string, to: string): void => {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    copyFileSync(from, join(root, to));
  };
  for (const folder of ["proc", "dev", "sys", "tmp", "run", "etc", "sockets"]) mkdirSync(join(root, folder));
  copy(executable, "app/agent");
  const { stdout } = spawnSync("ldd", [executable], { encoding: "utf8" });
  for (const [path] of stdout.matchAll(/\/\S+/g)) copy(path, path);
  writeFileSync(join(root, "etc/passwd"), `nonroot:x:${NOBODY}:${NOBODY}::/:/sbin/nologin\n`);
  chmodSync(root, 0o755);
  return root;
}

/** The folder with every socket: whatever is made in it belongs to the group inside. */
function makeSockets(): string {
  const folder = processes.folder("sockets");
  chownSync(folder, 0, NOBODY);
  chmodSync(folder, 0o2770);
  return folder;
}

function podmanBox(root: string, sockets: string): Box | string {
  const podman = ensurePackage("podman", "podman");
  if (podman.path === undefined) return podman.reason;
  // crun refuses to start beside an old hierarchy of cgroups.
  const runtime = ensurePackage("runc", "runc").path === undefined ? "crun" : "runc";
  const folder = processes.folder("podman");
  const conf = join(folder, "containers.conf");
  writeFileSync(conf, containersConf(runtime));
  const env = { CONTAINERS_CONF: conf };
  const global = [
    ...[podman.path, "--root", join(folder, "store"), "--runroot", join(folder, "run")],
    ...["--storage-driver", "vfs"],
  ];
  const podmanRun = (args: readonly string[]): string => {
    const [file = "", ...rest] = [...global, ...args];
    return spawnSync(file, rest, { encoding: "utf8", env: { ...process.env, ...env } }).stdout;
  };
  const box: Box = {
    name: "podman",
    env,
    command: (name, argv, inner, isDeaf) => {
      // Its parent is not this process: whoever is killed here leaves it running.
      cleanUps.add(() => podmanRun(["rm", "-f", "-t", "0", name]));
      return [
        ...[...global, "run", "--rm", "--name", name, "--network", "none", "--read-only"],
        ...["--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges"],
        ...["--user", `${NOBODY}:${NOBODY}`, "--memory", "256m", "--pids-limit", "64"],
        ...(isDeaf ? [`--security-opt=seccomp=${SECCOMP}`] : []),
        ...Object.entries(inner).flatMap(([key, value]) => ["--env", `${key}=${value}`]),
        ...["--volume", `${sockets}:/sockets`, "--rootfs", root, ...argv],
      ];
    },
    pid: (name) => Number(podmanRun(["inspect", "--format", "{{.State.Pid}}", name])),
  };
  const [file = "", ...args] = box.command(`nw-${process.pid}-probe`, ["/app/agent", "--version"], {}, false);
  const probe = spawnSync(file, args, { encoding: "utf8", env: { ...process.env, ...env } });
  return probe.status === 0 ? box : `podman does not run here: ${probe.stderr.trim().split("\n").at(-1)}`;
}

function bubblewrapBox(root: string, sockets: string): Box | string {
  const bwrap = ensurePackage("bubblewrap", "bwrap");
  if (bwrap.path === undefined) return bwrap.reason;
  const { path } = bwrap;
  return {
    name: "bubblewrap",
    env: {},
    command: (_name, argv, inner) => [
      ...[path, "--ro-bind", root, "/", "--bind", sockets, "/sockets", "--proc", "/proc", "--dev", "/dev"],
      ...["--unshare-all", "--unshare-user", "--uid", String(NOBODY), "--gid", String(NOBODY)],
      ...["--cap-drop", "ALL", "--as-pid-1", "--die-with-parent", "--clearenv"],
      ...Object.entries(inner).flatMap(([key, value]) => ["--setenv", key, value]),
      ...argv,
    ],
    // The program is the only child of bubblewrap.
    pid: (_name, { pid }) =>
      Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]),
  };
}

/** Why nothing of this runs here. With `CI` set it always runs, and fails where it cannot. */
function skipReason(): string | undefined {
  if (process.env["CI"]) return undefined;
  if (process.platform !== "linux") return "containers are Linux's";
  if (process.getuid?.() !== 0) return "only root may make a container without a network here";
  if (!findBinary("podman") && !findBinary("bwrap")) return "neither podman nor bubblewrap is here";
  return undefined;
}

const reason = skipReason();
const skip = reason !== undefined;
const why = skip ? ` (${reason})` : "";
if (skip) process.stderr.write(`Tests in containers are skipped: ${reason}\n`);

/** An agent in a box, its gateway, and what it serves. */
interface Boxed {
  readonly box: Box;
  readonly agent: RunningProcess;
  /** The agent as the machine sees it. */
  readonly pid: number;
  readonly doors: Doors;
}

async function startBoxed(): Promise<Boxed> {
  ensureBuilt("executable");
  const [root, sockets] = [makeRoot(), makeSockets()];
  const podman = podmanBox(root, sockets);
  const box = typeof podman === "string" ? bubblewrapBox(root, sockets) : podman;
  if (typeof box === "string") throw new Error(`Cannot make a container: ${podman}, and ${box}`);
  if (box.name !== "podman") process.stderr.write(`bubblewrap stands in, without a profile: ${podman}\n`);
  const target = [bunBinary(), join(ROOT, "test", "chaos", "target.ts")];
  const [web, raw] = ["web.sock", "raw.sock"] as const;
  const served = processes.start([...target, join(sockets, web), join(sockets, raw)]);
  const link = `unix:${join(sockets, "gateway.sock")}`;
  const args = ["--route", "*=web", "--link", link, "--tcp", "127.0.0.1:0=raw"];
  const gateway: RunningGateway = await startGateway(processes, "bun", { args });
  await served.ready;
  const name = `nw-${process.pid}-agent`;
  const services = ["--serve", "web=unix:/sockets/web.sock", "--serve", "raw=unix+tcp:/sockets/raw.sock"];
  const token = { NETWALL_TOKEN: await mintFor(gateway.data) };
  const inside = ["/app/agent", "--gateway", "unix:/sockets/gateway.sock", ...services];
  const agent = processes.start(box.command(name, inside, token, true), { env: box.env });
  await agent.ready;
  const tcpPort = portOf(gateway.addresses["tcp"]?.[0]);
  return {
    ...{ box, agent, pid: box.pid(name, agent) },
    doors: { host: "127.0.0.1", httpPort: gateway.port, tcpPort },
  };
}

describe("the executable in a container with nothing", () => {
  let starting: Promise<Boxed> | undefined;
  const start = (): Promise<Boxed> => starting ??= startBoxed();

  const it = (name: string, body: () => Promise<void>): void =>
    test.skipIf(skip)(`${name}${why}`, body, TEST_MS_MAX);

  it("has no rights, no network and no root to write to", async () => {
    const { box, pid } = await start();
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const field = (name: string): string => new RegExp(`^${name}:\\s+(.*)$`, "m").exec(status)?.[1] ?? "";
    expect(field("Name")).toBe("agent");
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) expect(field(set)).toMatch(/^0+$/);
    expect(field("NoNewPrivs")).toBe("1");
    // 2 is a filter of system calls.
    expect(field("Seccomp")).toBe(box.name === "podman" ? "2" : "0");
    if (box.name === "podman") expect(field("Uid")).toBe(Array(4).fill(NOBODY).join("\t"));
    const devices = readFileSync(`/proc/${pid}/net/dev`, "utf8").trim().split("\n").slice(2);
    expect(devices.map((line) => line.trim().split(":")[0])).toEqual(["lo"]);
    const mounts = readFileSync(`/proc/${pid}/mounts`, "utf8").split("\n").map((line) => line.split(" "));
    expect(mounts.find(([, at]) => at === "/")?.[3]).toMatch(/^ro\b/);
    expect(existsSync(`/proc/${pid}/root/bin/sh`)).toBe(false);
  });

  it("may not listen, while the same program without the profile may", async () => {
    const { box } = await start();
    // The executable stands in for any foreign code: this variable makes it the plain runtime.
    const script = `require("net").createServer().on("error", (e) => console.log("refused", e.code))` +
      `.listen(0, "127.0.0.1", function () { console.log("listens"); this.close(); })`;
    const listen = (name: string, isDeaf: boolean): Promise<string> =>
      processes.run(
        box.command(`nw-${process.pid}-${name}`, ["/app/agent", "-e", script], { BUN_BE_BUN: "1" }, isDeaf),
        { env: box.env },
      );
    expect(await listen("open", false)).toBe("listens\n");
    if (box.name === "podman") expect(await listen("deaf", true)).toBe("refused EPERM\n");
  });

  it("serves requests, a large download and an upload", async () => {
    const { doors } = await start();
    expect(await download(doors, { seed: 1, bytes: 1000 }).outcome).toBe("ok");
    expect(await download(doors, { seed: 2, bytes: 32 * MIB }).outcome).toBe("ok");
    expect(await upload(doors, { seed: 3, bytes: 32 * MIB }).outcome).toBe("ok");
    const many = Array.from({ length: 50 }, (_, seed) => download(doors, { seed, bytes: 10_000 }).outcome);
    expect(new Set(await Promise.all(many))).toEqual(new Set(["ok"]));
  });

  it("serves a WebSocket", async () => {
    const { doors } = await start();
    expect(await talk(doors, { seed: 4, bytes: 10_000 }, 50, 0).outcome).toBe("ok");
  });

  it("serves a raw connection", async () => {
    const { doors } = await start();
    expect(await echo(doors, { seed: 5, bytes: 8 * MIB, perSecond: 32 * MIB }).outcome).toBe("ok");
  });

  it("ends as told, as the first process of its container", async () => {
    const { agent, pid } = await start();
    process.kill(pid, "SIGTERM");
    expect(await agent.exit).toEqual({ code: 0, signal: null });
  });
});
