/**
 * netwall-agent: dial → accept → replay.
 *
 * The agent dials out to its gateways and keeps a link open to each. Streams that a gateway opens name a service; the
 * agent alone knows the target behind the name, and replays the request to it. It opens no port.
 *
 * Read `startAgent` first, then lib/mux/session.ts and lib/http/replay.ts; lib/wire/SPEC.md is the protocol.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { resolve as resolvePath } from "node:path";
import type { Duplex } from "node:stream";
import { pathToFileURL } from "node:url";
import type { ProgramSpec } from "./lib/cli/arguments.ts";
import { EXIT, type ExitCode } from "./lib/cli/exit.ts";
import { runAsMain, runProgram, untilStopped } from "./lib/cli/program.ts";
import { formatTarget, type GatewayAddress, LINK_PATH, type Target } from "./lib/config/addresses.ts";
import { type AgentConfig, agentConfig } from "./lib/config/agent_config.ts";
import { ConfigError, formatConfigError, loadConfig } from "./lib/config/load.ts";
import { fetchTarget } from "./lib/http/fetch_target.ts";
import { replay, type ReplayFacts } from "./lib/http/replay.ts";
import { type FetchHandler, replayToApp } from "./lib/http/replay_app.ts";
import { TargetClient } from "./lib/http/target_client.ts";
import { dialLink, formatGateway, type GatewayAddress as DialAddress } from "./lib/link/dial.ts";
import { Dialer, type DialerState } from "./lib/link/dialer.ts";
import { type Link, LinkError } from "./lib/link/link.ts";
import { isLoopback } from "./lib/link/proxy.ts";
import { createLogger, type Logger } from "./lib/log.ts";
import { MemoryBudget } from "./lib/mux/budget.ts";
import { Session } from "./lib/mux/session.ts";
import type { SessionEnd } from "./lib/mux/session_options.ts";
import type { Stream } from "./lib/mux/stream.ts";
import { connectTcp } from "./lib/runtime/connect_tcp.ts";
import { connectTls } from "./lib/runtime/connect_tls.ts";
import { refusalToStart } from "./lib/runtime/hardening.ts";
import { runtimeName, runtimeVersion } from "./lib/runtime/runtime.ts";
import { VERSION } from "./lib/version.ts";
import { decodeRequestHead } from "./lib/wire/head.ts";
import type { OpenPayload } from "./lib/wire/open.ts";

/** What stands behind a service: a target that is dialled, or a function in this process. */
type Backend = { kind: "target"; client: TargetClient; name: string } | {
  kind: "app";
  handler: FetchHandler;
};

/** A running agent. */
export interface Agent {
  /** Settles when the first session stands. */
  readonly ready: Promise<void>;
  /** Settles when the agent has ended; rejects with a permanent LinkError when no gateway takes it. */
  readonly done: Promise<void>;
  /** Leaves every gateway politely. */
  stop(graceMs: number): Promise<void>;
}

export interface AgentOptions {
  config: Readonly<AgentConfig>;
  token: string;
  log: Logger;
  /** An app that is there already, instead of `config.app`. */
  handler?: FetchHandler;
}

/** Something outside is not as the configuration says: a file, a module. The message says what to do. */
class StartError extends Error {
  override name = "StartError";
}

/** Dials every gateway and serves what comes, until it is stopped or refused for good. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { config, token, log } = options;
  const backends = await makeBackends(config, options.handler);
  const tls = readTlsFiles(config);
  const sessions = new Set<Session>();
  const { promise: ready, resolve: onTaken } = Promise.withResolvers<void>();
  const work: Work = {
    config,
    backends,
    log,
    sessions,
    budget: new MemoryBudget(config.limits.memory, true),
    onTaken,
  };
  const dialers: Dialer[] = [];
  for (const gateway of config.gateway) {
    const address = dialAddress(gateway);
    const where = formatGateway(address);
    if (address.kind === "tcp" && !address.secure && !isLoopback(address.host)) {
      log.warn("the link is not encrypted, what passes can be read on the way: use wss://", {
        gateway: where,
      });
    }
    const dialOptions = { gateway: address, token, tls, env: process.env };
    for (let i = 0; i < config.links; i++) {
      const dialer: Dialer = new Dialer({
        dial: (signal) =>
          dialLink({ ...dialOptions, handshakeTimeoutMs: config.limits.connectTimeout, signal }),
        onLink: (link) => serveLink(work, link, () => dialer.moveNow()),
        onState: (state) => logState(log, where, state),
      });
      dialers.push(dialer);
      dialer.start();
    }
  }

  return {
    ready,
    done: allGone(dialers),
    async stop(graceMs: number): Promise<void> {
      for (const dialer of dialers) void dialer.stop();
      await Promise.all([...sessions].map((session) => session.drain(graceMs, "The agent is stopping")));
      for (const backend of backends.values()) if (backend.kind === "target") backend.client.close();
    },
  };
}

/** What every session of the agent works with. */
interface Work {
  readonly config: Readonly<AgentConfig>;
  readonly backends: Map<string, Backend>;
  readonly log: Logger;
  readonly sessions: Set<Session>;
  readonly budget: MemoryBudget;
  /** A gateway has taken what the agent wants to serve. */
  onTaken(): void;
}

/**
 * Runs a session on a link and settles when it is over.
 *
 * @param move Makes another link: the gateway is about to leave.
 * @throws {LinkError} When the gateway refuses this agent for good.
 */
function serveLink(work: Work, link: Link, move: () => void): Promise<void> {
  const { config, backends, log, sessions, budget } = work;
  const services = [...backends.keys()];
  return new Promise((resolve, reject) => {
    const session: Session = new Session(link, {
      ...{ role: "agent", helloFields: helloFields(services), budget },
      streamsMax: config.limits.streamsMax,
      sessionWindowBytes: config.limits.sessionWindow,
      onReady: () => {
        // Not yet: the gateway may still refuse what this agent wants to serve.
      },
      onTaken: () => {
        log.info("linked", { gateway: link.peer, services: services.join(",") });
        work.onTaken();
      },
      onOpen: (stream, open) => accept(stream, open, backends, log, config.log.access),
      onGoAway: (detail) => {
        log.info("the gateway is leaving", { gateway: link.peer, detail });
        move();
      },
      onClose: (end) => {
        sessions.delete(session);
        const refusal = refusalOf(end);
        if (refusal) return reject(refusal);
        const level = end.code === "draining" ? "info" : "warn";
        log[level]("link ended", { gateway: link.peer, reason: end.message, fault: end.fault });
        resolve();
      },
    });
    sessions.add(session);
    session.start();
  });
}

/** One stream that a gateway opened. Only a name that is served here goes any further. */
function accept(
  stream: Stream,
  open: OpenPayload,
  backends: Map<string, Backend>,
  log: Logger,
  logAccess: boolean,
): void {
  const backend = backends.get(open.service);
  if (backend === undefined) {
    log.warn("a gateway asked for a service that is not served here", { service: open.service });
    return stream.reset("unknownService");
  }
  const request = decodeRequestHead(open.head);
  const onDone = (facts: ReplayFacts): void => {
    const fields = { service: open.service, method: request.method, status: facts.status };
    if (facts.error) {
      log.warn("the target failed", { ...fields, code: facts.error.code, error: facts.error.message });
    } else if (logAccess) log.info("replayed", fields);
  };
  const options = { stream, request, body: open.body, upgrade: open.kind === "upgrade", onDone };
  if (backend.kind === "target") replay({ ...options, client: backend.client });
  else void replayToApp({ ...options, handler: backend.handler });
}

async function makeBackends(
  config: Readonly<AgentConfig>,
  handler: FetchHandler | undefined,
): Promise<Map<string, Backend>> {
  const backends = new Map<string, Backend>();
  const ca = config.targetCa === undefined ? undefined : readText(config.targetCa, "--target-ca");
  for (const { service, target } of config.serve) {
    if (config.replay === "fetch" && target.kind === "http") {
      backends.set(service, { kind: "app", handler: fetchTarget(formatTarget(target)) });
      continue;
    }
    const client = new TargetClient({
      connect: (onRead) => connectTarget(target, ca, config, onRead),
      connectTimeoutMs: config.limits.connectTimeout,
    });
    backends.set(service, { kind: "target", client, name: formatTarget(target) });
  }
  if (config.as !== undefined) {
    backends.set(config.as, { kind: "app", handler: handler ?? await importApp(config.app!) });
  }
  return backends;
}

function connectTarget(
  target: Target,
  ca: string | undefined,
  config: Readonly<AgentConfig>,
  onRead: (chunk: Uint8Array) => boolean,
): Duplex | Promise<Duplex> {
  if (target.kind === "unix") return connectTcp({ path: target.path }, onRead);
  const { host, port } = target;
  if (!target.secure) return connectTcp({ host, port }, onRead);
  const timeoutMs = config.limits.connectTimeout;
  return connectTls({
    host,
    port,
    insecure: config.targetInsecure,
    timeoutMs,
    ...(ca === undefined ? {} : { ca }),
  });
}

async function importApp(file: string): Promise<FetchHandler> {
  let module: { default?: unknown };
  try {
    module = await import(pathToFileURL(resolvePath(file)).href);
  } catch (error) {
    throw new StartError(`Cannot load the app ${file}: ${(error as Error).message}`, { cause: error });
  }
  const app = module.default as { fetch?: unknown } | undefined;
  if (typeof app?.fetch !== "function") {
    throw new StartError(`Cannot serve the app ${file}: it has no "export default { fetch }"`);
  }
  return (request) => (app as { fetch: FetchHandler }).fetch(request);
}

/** What this side claims of itself. The gateway shows it and never believes it. */
function helloFields(services: string[]): string[] {
  return ["services", services.join(","), "hostname", hostname(), "version", VERSION, "runtime", runtimeName];
}

/** Why a session ended, when trying again is of no use. */
function refusalOf(end: SessionEnd): LinkError | undefined {
  if (end.code === "identity" && end.remote) {
    return new LinkError(`The gateway refused the agent: ${end.message}`, true);
  }
  if (end.code === "version") {
    return new LinkError(`The gateway speaks another version: ${end.message}`, true);
  }
  return undefined;
}

/** Settles when every dialer has ended well; rejects when the last one was refused: one gateway may go on alone. */
async function allGone(dialers: Dialer[]): Promise<void> {
  const results = await Promise.allSettled(dialers.map((dialer) => dialer.done));
  const refused = results.find((result) => result.status === "rejected");
  if (refused) throw refused.reason;
}

function dialAddress(gateway: GatewayAddress): DialAddress {
  if (gateway.kind === "unix") return { kind: "unix", path: gateway.path, route: LINK_PATH };
  const { secure, host, port, url } = gateway;
  const { pathname, search } = new URL(url);
  return { kind: "tcp", secure, host, port, path: pathname + search };
}

function logState(log: Logger, gateway: string, state: DialerState): void {
  if (state.kind === "waiting" && state.error) {
    log.warn("cannot link", { gateway, error: state.error.message, retryMs: state.delayMs });
  } else if (state.kind === "ended" && state.error) {
    log.error("refused", { gateway, error: state.error.message });
  } else {
    log.debug(state.kind, { gateway });
  }
}

function readTlsFiles(config: Readonly<AgentConfig>): { ca?: string; cert?: string; key?: string } {
  const tls: { ca?: string; cert?: string; key?: string } = {};
  if (config.gatewayCa !== undefined) tls.ca = readText(config.gatewayCa, "--gateway-ca");
  if (config.gatewayCert !== undefined) tls.cert = readText(config.gatewayCert, "--gateway-cert");
  if (config.gatewayKey !== undefined) tls.key = readText(config.gatewayKey, "--gateway-key");
  return tls;
}

function readText(path: string, flag: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new StartError(`Cannot read ${path} of ${flag}: ${code}, check the path, its owner and mode`, {
      cause: error,
    });
  }
}

const PROGRAM: ProgramSpec = (() => {
  const run = {
    name: "run",
    summary: "Dial out to a gateway and publish services through it",
    options: agentConfig,
    examples: [
      "netwall-agent --gateway wss://edge.example.com --token-file token --serve web=http://127.0.0.1:3000",
      "netwall-agent --gateway unix:/run/netwall/gateway.sock --app ./app.ts --as web",
    ],
  };
  return {
    name: "netwall-agent",
    summary: "Publishes services beside it through a gateway, and opens no port",
    commands: [run],
    defaultCommand: run,
  };
})();

async function main(argv: string[]): Promise<ExitCode> {
  return await runProgram({
    program: PROGRAM,
    version: `${VERSION} (${runtimeName} ${runtimeVersion})`,
    argv,
    commands: {
      run: async (flags) => {
        const refusal = refusalToStart();
        if (refusal) throw new StartError(refusal);
        const config = loadConfig({ schema: agentConfig, flags, env: process.env });
        const log = createLogger({ ...config.log, isTerminal: process.stderr.isTTY === true });
        const token = config.token?.reveal() ?? readText(config.tokenFile!, "--token-file").trim();
        const agent = await startAgent({ config, token, log });
        void agent.ready.then(() => process.stdout.write(readyLine(config)));
        const stopped = untilStopped(log, (graceMs) => agent.stop(graceMs), config.limits.grace);
        // Without a stop the agent ends only when every gateway refused it for good, which throws.
        await Promise.race([stopped, agent.done]);
        return EXIT.stopped;
      },
    },
    explain: (error) => {
      if (error instanceof ConfigError) return { message: formatConfigError(error), code: EXIT.usage };
      if (error instanceof StartError) return { message: error.message, code: EXIT.usage };
      if (error instanceof LinkError) return { message: error.message, code: EXIT.refused };
      return undefined;
    },
  });
}

/** The line that tells that services can be reached. */
function readyLine(config: Readonly<AgentConfig>): string {
  const services = [
    ...config.serve.map(({ service }) => service),
    ...(config.as === undefined ? [] : [config.as]),
  ];
  const gateways = config.gateway.map((gateway) => formatGateway(dialAddress(gateway)));
  return `ready ${JSON.stringify({ gateways, services })}\n`;
}

runAsMain(import.meta.main, main);
