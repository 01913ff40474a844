/**
 * The ways from a visitor to the same nginx that are compared: direct, one nginx hop, `ssh -R`, netwall.
 *
 * Each is started fresh, and gives the address a visitor calls and the processes that carry the bytes. With a
 * delay, the long line lies where it would in use: between the client and nginx for `direct`, between the proxy and
 * nginx for a hop, between the two ends of the tunnel for the others.
 *
 * @module
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { findBinary } from "../support/services.ts";
import {
  bunBinary,
  freePort,
  isBuilt,
  ProcessGroup,
  ROOT,
  type RunningProcess,
  type Runtime,
} from "../support/processes.ts";

export const SMALL_BYTES = 1024;
export const MEDIUM_BYTES = 1_000_000;
export const LARGE_BYTES = 1 << 30;

/** The name under which a visitor reaches the sink through netwall. */
const SINK_HOST = "sink.bench";

const DEADLINE_MS = 20_000;

/** nginx with the files, and the sink: what every path leads to. */
export interface Origin {
  readonly web: string;
  readonly sink: string;
  /** A sparse file of `LARGE_BYTES`, to upload. */
  readonly largeFile: string;
}

/** A path that runs. */
export interface Path {
  /** Where a visitor finds the files: "http://127.0.0.1:PORT". */
  readonly web: string;
  /** Where a visitor finds the sink, and the Host to ask for. */
  readonly sink: { readonly url: string; readonly host: string };
  /** Process ids of the two ends, where the path has such. */
  readonly gatewayPid: number | undefined;
  readonly agentPid: number | undefined;
  dispose(): Promise<void>;
}

/** What a path is started with. */
export interface PathOptions {
  readonly origin: Origin;
  /** One way, in milliseconds. @default no delay */
  readonly delayMs?: number;
}

type Start = (group: ProcessGroup, options: PathOptions) => Promise<Omit<Path, "dispose">>;

/**
 * Settles once a port of 127.0.0.1 accepts.
 *
 * @param owner Who is to listen there: its standard error is shown when it ends first or takes too long.
 */
async function accepts(port: number, owner: RunningProcess): Promise<void> {
  const deadlineMs = Date.now() + DEADLINE_MS;
  const state = { ended: false };
  void owner.exit.then(() => state.ended = true);
  for (;;) {
    const opened = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port });
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (opened) return;
    if (state.ended || Date.now() > deadlineMs) {
      throw new Error(`Cannot reach port ${port}: nothing accepts there: ${owner.stderr()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Settles once a URL answers 200: behind a long line an agent is linked before its gateway has heard so. */
export async function answers(url: string): Promise<void> {
  const deadlineMs = Date.now() + DEADLINE_MS;
  for (;;) {
    const { status } = await fetch(url).then(async (response) => (await response.bytes(), response));
    if (status === 200) return;
    if (Date.now() > deadlineMs) throw new Error(`Cannot use ${url}: it answers ${status} after 20 s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Starts nginx with a `server` block of its own. One worker, no log, nothing outside `folder`. */
async function startNginx(group: ProcessGroup, body: (port: number) => string): Promise<string> {
  const nginx = findBinary("nginx");
  if (nginx === undefined) throw new Error("Cannot start nginx: it is missing: apt-get install nginx-light");
  const folder = group.folder("nginx");
  // The worker may be another user, who must get at the files.
  chmodSync(folder, 0o755);
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/${name};`).join(" ");
  const user = userInfo();
  writeFileSync(
    join(folder, "nginx.conf"),
    `${
      user.uid === 0 ? "user root;" : ""
    } daemon off; worker_processes 1; pid ${folder}/pid; error_log stderr;
events { worker_connections 4096; }
http { access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000000; client_max_body_size 0;
${temporary}
${body(port)} }`,
  );
  const process = group.start([nginx, "-c", join(folder, "nginx.conf"), "-e", join(folder, "error.log")], {
    ownGroup: true,
  });
  await accepts(port, process);
  return `127.0.0.1:${port}`;
}

/** Starts what every path leads to, with the files in a folder that ends with the group. */
export async function startOrigin(group: ProcessGroup): Promise<Origin> {
  const files = group.folder("files");
  chmodSync(files, 0o755);
  writeFileSync(join(files, "small"), new Uint8Array(SMALL_BYTES).fill(0x61));
  writeFileSync(join(files, "medium"), new Uint8Array(MEDIUM_BYTES).fill(0x61));
  writeFileSync(join(files, "large"), "");
  truncateSync(join(files, "large"), LARGE_BYTES);
  // The first reading of a file, even of a hole, is slower than all others.
  await group.run(["sh", "-c", 'cat "$1" > /dev/null', "sh", join(files, "large")]);
  const web = await startNginx(group, (port) => `server { listen 127.0.0.1:${port}; root ${files}; }`);
  const sink = group.start([bunBinary(), join(ROOT, "test", "bench", "sink.ts")]);
  const { http } = await sink.ready;
  if (http === undefined) throw new Error("Cannot start the sink: it printed no address");
  return { web, sink: http, largeFile: join(files, "large") };
}

/** The address itself, or a relay to it when there is a delay. */
async function through(group: ProcessGroup, address: string, delayMs: number | undefined): Promise<string> {
  if (delayMs === undefined) return address;
  const script = join(ROOT, "test", "bench", "delay_relay.ts");
  const { tcp } = await group.start([bunBinary(), script, address, String(delayMs)]).ready;
  if (tcp === undefined) throw new Error("Cannot start the relay: it printed no address");
  return tcp;
}

const portOf = (address: string): string => address.slice(address.lastIndexOf(":") + 1);

const startDirect: Start = async (group, { origin, delayMs }) => {
  const [web, sink] = [await through(group, origin.web, delayMs), await through(group, origin.sink, delayMs)];
  return {
    web: `http://${web}`,
    sink: { url: `http://${sink}/`, host: sink },
    gatewayPid: undefined,
    agentPid: undefined,
  };
};

/** One hop over nginx. With `keepalive` it keeps its connections to the target: the stronger form. */
function startHop(keepalive: boolean): Start {
  return async (group, { origin, delayMs }) => {
    const web = await through(group, origin.web, delayMs);
    const sink = await through(group, origin.sink, delayMs);
    const kept = keepalive ? "keepalive 128; keepalive_requests 100000000;" : "";
    const headers = keepalive ? 'proxy_http_version 1.1; proxy_set_header Connection "";' : "";
    const address = await startNginx(
      group,
      (port) =>
        `upstream web { server ${web}; ${kept} } upstream sink { server ${sink}; ${kept} }
server { listen 127.0.0.1:${port}; proxy_max_temp_file_size 0; ${headers}
location / { proxy_pass http://web; }
location /sink { proxy_pass http://sink; proxy_http_version 1.1; proxy_request_buffering off; } }`,
    );
    return {
      web: `http://${address}`,
      sink: { url: `http://${address}/sink`, host: address },
      gatewayPid: undefined,
      agentPid: undefined,
    };
  };
}

/**
 * Starts an sshd with keys of its own, and a client that forwards ports of the server to targets, as `ssh -R` does.
 *
 * @returns For each target the address that leads to it.
 */
async function startForwards(
  group: ProcessGroup,
  targets: readonly string[],
  { cipher, delayMs }: { readonly cipher?: string | undefined; readonly delayMs?: number | undefined },
): Promise<string[]> {
  const sshd = findBinary("sshd");
  if (sshd === undefined) throw new Error("Cannot start sshd: it is missing: apt-get install openssh-server");
  const folder = group.folder("ssh");
  for (const name of ["host", "user"]) {
    await group.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", join(folder, name)]);
  }
  copyFileSync(join(folder, "user.pub"), join(folder, "authorized_keys"));
  // sshd separates its privileges in this folder and refuses to start without it.
  if (userInfo().uid === 0) mkdirSync("/run/sshd", { recursive: true });
  // Not `userInfo().username`: without USER in the environment Bun says "unknown".
  const user = (await group.run(["id", "-un"])).trim();
  const port = await freePort();
  const ports: number[] = [];
  for (const _target of targets) ports.push(await freePort());
  const options = (pairs: Record<string, string>): string[] =>
    Object.entries(pairs).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const serverOptions = options({
    ListenAddress: "127.0.0.1",
    HostKey: join(folder, "host"),
    AuthorizedKeysFile: join(folder, "authorized_keys"),
    PidFile: "none",
    StrictModes: "no",
    UsePAM: "no",
    PasswordAuthentication: "no",
  });
  const server = group.start([sshd, "-D", "-e", "-f", "/dev/null", "-p", String(port), ...serverOptions], {
    ownGroup: true,
  });
  await accepts(port, server);
  const near = await through(group, `127.0.0.1:${port}`, delayMs);
  const clientOptions = options({
    StrictHostKeyChecking: "no",
    UserKnownHostsFile: "/dev/null",
    IdentitiesOnly: "yes",
    ExitOnForwardFailure: "yes",
    LogLevel: "ERROR",
    ...(cipher === undefined ? {} : { Ciphers: cipher }),
  });
  const forwards = targets.flatMap((target, index) => ["-R", `127.0.0.1:${ports[index]}:${target}`]);
  const login = ["-i", join(folder, "user"), "-p", portOf(near), `${user}@127.0.0.1`];
  const client = group.start(["ssh", "-F", "/dev/null", "-N", "-T", ...clientOptions, ...forwards, ...login]);
  await Promise.all(ports.map((each) => accepts(each, client)));
  return ports.map((each) => `127.0.0.1:${each}`);
}

/** `ssh -R` to both services. */
function startSsh(cipher?: string): Start {
  return async (group, { origin, delayMs }) => {
    const [web = "", sink = ""] = await startForwards(group, [origin.web, origin.sink], { cipher, delayMs });
    return {
      web: `http://${web}`,
      sink: { url: `http://${sink}/`, host: sink },
      gatewayPid: undefined,
      agentPid: undefined,
    };
  };
}

/** A gateway that was started, with the token of its one agent. */
interface StartedGateway {
  readonly address: string;
  readonly tcp: readonly string[];
  /** The address of the admin API, when it was asked for. */
  readonly admin: string | undefined;
  /** In the folder with the data of the gateway. */
  readonly tokenFile: string;
  readonly pid: number;
  readonly process: RunningProcess;
}

/**
 * Starts a gateway, with the token of an agent that may serve these services.
 *
 * @param doors More flags. The admin API is off unless they say where it is.
 */
export async function startGateway(
  group: ProcessGroup,
  runtime: Runtime,
  services: readonly string[] = ["web", "sink"],
  doors: readonly string[] = ["--route", "*=web", "--route", `${SINK_HOST}=sink`],
): Promise<StartedGateway> {
  const data = group.folder("gateway");
  const serve = services.flatMap((service) => ["--serve", service]);
  const made = group.gateway(runtime, ["token", "--name", "bench", ...serve, "--data", data]);
  const { code } = await made.exit;
  if (code !== 0) throw new Error(`Cannot make a token: the gateway ended with ${code}: ${made.stderr()}`);
  const tokenFile = join(data, "bench.token");
  writeFileSync(tokenFile, made.stdout().trim(), { mode: 0o600 });
  const admin = doors.includes("--admin") ? [] : ["--admin", "off"];
  const args = ["serve", "--http", "127.0.0.1:0", "--data", data, ...admin, ...doors];
  const gateway = group.gateway(runtime, args);
  // The ready line holds a list for raw ports, and one address for each of the others.
  const addresses: Readonly<Record<string, unknown>> = await gateway.ready;
  const { http, tcp = [] } = addresses;
  if (typeof http !== "string") {
    throw new Error("Cannot start the gateway: its ready line has no http address");
  }
  return {
    ...{ address: http, tcp: tcp as string[], tokenFile, pid: gateway.pid, process: gateway },
    admin: typeof addresses["admin"] === "string" ? addresses["admin"] : undefined,
  };
}

/** Gateway and agent on one runtime. */
function startNetwall(runtime: Runtime): Start {
  return async (group, { origin, delayMs }) => {
    const { address, tokenFile, pid } = await startGateway(group, runtime);
    const services = ["--serve", `web=http://${origin.web}`, "--serve", `sink=http://${origin.sink}`];
    const near = await through(group, address, delayMs);
    const agent = group.agent(runtime, ["--gateway", `ws://${near}`, "--token-file", tokenFile, ...services]);
    await agent.ready;
    await answers(`http://${address}/small`);
    return {
      web: `http://${address}`,
      sink: { url: `http://${address}/`, host: SINK_HOST },
      gatewayPid: pid,
      agentPid: agent.pid,
    };
  };
}

const NETWALL: Readonly<Record<string, Runtime>> = {
  "netwall-bun": "bundle-bun",
  "netwall-deno": "bundle-deno",
  "netwall-executable": "executable",
};

const STARTS: Readonly<Record<string, Start>> = {
  "direct": startDirect,
  "nginx": startHop(true),
  "nginx-plain": startHop(false),
  "ssh": startSsh(),
  "ssh-aes128-gcm": startSsh("aes128-gcm@openssh.com"),
  ...Object.fromEntries(Object.entries(NETWALL).map(([name, runtime]) => [name, startNetwall(runtime)])),
};

/** All netwall paths, built or not. */
export const NETWALL_PATHS: readonly string[] = Object.keys(NETWALL);

/** The netwall paths that can be started: those whose files were built. */
export function builtNetwallPaths(): string[] {
  return NETWALL_PATHS.filter((name) => isBuilt(runtimeOf(name)));
}

/** How a netwall path is run. */
export function runtimeOf(name: string): Runtime {
  const runtime = NETWALL[name];
  if (runtime === undefined) throw new TypeError(`There is no netwall path "${name}"`);
  return runtime;
}

/** Starts a path by name. Dispose it when done. */
export async function startPath(name: string, options: PathOptions): Promise<Path> {
  const start = STARTS[name];
  if (start === undefined) throw new TypeError(`There is no path "${name}"`);
  const group = new ProcessGroup();
  try {
    return { ...await start(group, options), dispose: () => group.dispose() };
  } catch (error) {
    await group.dispose();
    throw error;
  }
}

/** A path for raw connections to one target. */
export interface RawPath {
  /** Where it begins: HOST:PORT. */
  readonly address: string;
  dispose(): Promise<void>;
}

/** A raw port of a gateway that leads to the target of its agent. */
async function startRawNetwall(group: ProcessGroup, runtime: Runtime, target: string): Promise<string> {
  const doors = ["--tcp", "127.0.0.1:0=raw"];
  const { address, tcp, tokenFile } = await startGateway(group, runtime, ["raw"], doors);
  const gateway = ["--gateway", `ws://${address}`, "--token-file", tokenFile];
  await group.agent(runtime, [...gateway, "--serve", `raw=tcp://${target}`]).ready;
  const [first] = tcp;
  if (first === undefined) throw new Error("Cannot start the gateway: its ready line has no raw port");
  return first;
}

/** Starts a path for raw connections by name: `direct`, one of ssh, or one of netwall. Dispose it when done. */
export async function startRawPath(name: string, target: string): Promise<RawPath> {
  const group = new ProcessGroup();
  const dispose = (): Promise<void> => group.dispose();
  try {
    if (name === "direct") return { address: target, dispose };
    const cipher = name === "ssh-aes128-gcm" ? "aes128-gcm@openssh.com" : undefined;
    if (!name.startsWith("ssh")) {
      return { address: await startRawNetwall(group, runtimeOf(name), target), dispose };
    }
    const [address = ""] = await startForwards(group, [target], { cipher });
    return { address, dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Programs without which there is nothing to compare. */
export function missingPrograms(): string[] {
  const packages: Readonly<Record<string, string>> = {
    nginx: "nginx-light",
    wrk: "wrk",
    curl: "curl",
    sshd: "openssh-server",
    ssh: "openssh-client",
  };
  return Object.entries(packages).filter(([binary]) => findBinary(binary) === undefined).map(([, name]) =>
    name
  );
}

/** True when the machine can be measured at all. */
export function hasProc(): boolean {
  return existsSync("/proc/self/status");
}
