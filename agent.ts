/**
 * netwall-agent: dial → accept → replay.
 *
 * The agent dials out to its gateways and keeps a link open to each. Streams that a gateway opens name a service; the
 * agent alone knows the target behind the name, and replays the request to it, or splices the connection. It opens no
 * port to the outside. What its own container calls, other agents' services and hosts, goes out by the same links.
 *
 * Read `startAgent` first, then lib/mux/session.ts, lib/http/replay.ts and lib/tcp/splice.ts; lib/wire/SPEC.md is the
 * protocol.
 *
 * @module
 */
import { type Backend, makeBackends } from "./lib/agent/backends.ts";
import { ownPlace } from "./lib/agent/container.ts";
import { type OpenDoors, openDoors } from "./lib/agent/doors.ts";
import { readText, StartError } from "./lib/agent/files.ts";
import { dialAddress, dialEnvironment, readTlsFiles } from "./lib/agent/places.ts";
import {
  AGENT_COMMANDS,
  AGENT_PROGRAM,
  explainAgentError,
  sealIfAsked,
  warnOfDoors,
} from "./lib/agent/program.ts";
import { WallWatch } from "./lib/agent/wall_watch.ts";
import { EXIT, type ExitCode } from "./lib/cli/exit.ts";
import { runAsMain, runProgram, untilStopped } from "./lib/cli/program.ts";
import { type AgentConfig, agentConfig } from "./lib/config/agent_config.ts";
import { loadConfig } from "./lib/config/load.ts";
import { replay, type ReplayFacts } from "./lib/http/replay.ts";
import { type FetchHandler, replayToApp } from "./lib/http/replay_app.ts";
import { dialLink, formatGateway } from "./lib/link/dial.ts";
import { Dialer, type DialerState } from "./lib/link/dialer.ts";
import { type Link, LinkError } from "./lib/link/link.ts";
import { isLoopback } from "./lib/link/proxy.ts";
import { createLogger, type Logger } from "./lib/log.ts";
import { MemoryBudget } from "./lib/mux/budget.ts";
import { Session } from "./lib/mux/session.ts";
import type { SessionEnd } from "./lib/mux/session_options.ts";
import type { Stream } from "./lib/mux/stream.ts";
import { refusalToStart } from "./lib/runtime/hardening.ts";
import { runtimeName, runtimeVersion } from "./lib/runtime/runtime.ts";
import { acceptTcp, type ConnectionFacts } from "./lib/tcp/connect.ts";
import { prefaceOf } from "./lib/tcp/preface.ts";
import { VERSION } from "./lib/version.ts";
import { decodeRequestHead } from "./lib/wire/head.ts";
import type { OpenPayload } from "./lib/wire/open.ts";

/** A running agent. */
export interface Agent {
  /** Settles when the first session stands and the wall, where it is required, lets it serve. */
  readonly ready: Promise<void>;
  /** Settles when the agent has ended; rejects with a permanent LinkError when no gateway takes it. */
  readonly done: Promise<void>;
  /** The doors, with their real addresses. */
  readonly doors: OpenDoors;
  /** Leaves every gateway politely. */
  stop(graceMs: number): Promise<void>;
}

export interface AgentOptions {
  config: Readonly<AgentConfig>;
  token: string;
  log: Logger;
  /** An app that is there already, instead of `config.app`. */
  handler?: FetchHandler;
  /** Whether to look at what listens here. Not beside a gateway, which listens. @default true */
  audits?: boolean;
}

/** Dials every gateway and serves what comes, until it is stopped or refused for good. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { config, token, log } = options;
  const backends = await makeBackends(config, options.handler);
  const tls = readTlsFiles(config);
  const sessions = new Set<Session>();
  const { promise: taken, resolve: onTaken } = Promise.withResolvers<void>();
  const wall = new WallWatch({
    ...{ log, required: config.requireWall, looks: config.auditWall },
    onReport: (fields) => {
      for (const session of sessions) session.report(fields);
    },
  });
  const budget = new MemoryBudget(config.limits.memory, true);
  const hello = helloFields(config, backends);
  const work: Work = { config, backends, hello, log, sessions, wall, budget, onTaken };
  warnOfDoors(config, token, log);
  const doors = await openDoors(config, log, () => sessions);
  const looked = options.audits === false ? undefined : wall.start();
  // Else it is not waited for: linking takes as long.
  if (config.requireWall) await looked;
  const env = dialEnvironment(config, process.env);
  const dialers: Dialer[] = [];
  for (const gateway of config.gateway) {
    const address = dialAddress(gateway);
    const where = formatGateway(address);
    if (address.kind === "tcp" && !address.secure && !isLoopback(address.host)) {
      log.warn("the link is not encrypted, what passes can be read on the way: use wss://", {
        gateway: where,
      });
    }
    const dialOptions = { gateway: address, token, tls, env };
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
  const ready = backends.size === 0 ? taken : Promise.all([taken, wall.serving]).then(() => {});
  return {
    ...{ ready, doors, done: allGone(dialers) },
    async stop(graceMs: number): Promise<void> {
      doors.close();
      wall.stop();
      for (const dialer of dialers) void dialer.stop();
      await Promise.all([...sessions].map((session) => session.drain(graceMs, "The agent is stopping")));
      for (const backend of backends.values()) if (backend.kind === "http") backend.client.close();
    },
  };
}

/** What every session of the agent works with. */
interface Work {
  readonly config: Readonly<AgentConfig>;
  readonly backends: Map<string, Backend>;
  /** What every session says of this side in its HELLO. */
  readonly hello: string[];
  readonly log: Logger;
  readonly sessions: Set<Session>;
  readonly wall: WallWatch;
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
  const { config, backends, log, sessions, wall, budget } = work;
  const services = [...backends.keys()];
  return new Promise((resolve, reject) => {
    const session: Session = new Session(link, {
      ...{ role: "agent", helloFields: work.hello, budget },
      streamsMax: config.limits.streamsMax,
      sessionWindowBytes: config.limits.sessionWindow,
      onReady: () => {
        // Not linked yet: the gateway may still refuse what this agent wants to serve.
        if (wall.fields) session.report(wall.fields);
      },
      onTaken: () => {
        log.info("linked", { gateway: link.peer, services: services.join(",") });
        if (services.length > 0 && !wall.mayServe) {
          log.warn("not ready: --require-wall holds back all services until the wall is whole");
        }
        work.onTaken();
      },
      onOpen: (stream, open) => accept(stream, open, work),
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

/** One stream that a gateway opened. Only a name that is served here, in the way that it is served, goes further. */
function accept(stream: Stream, open: OpenPayload, work: Work): void {
  const { service, kind } = open;
  const { log } = work;
  const backend = work.backends.get(service);
  if (backend === undefined) {
    log.warn("a gateway asked for a service that is not served here", { service });
    return stream.reset("unknownService");
  }
  if (!work.wall.mayServe) return stream.reset("refused", "The wall is broken");
  if (backend.kind === "tcp" && kind === "tcp") return acceptConnection(stream, open, backend, work);
  if (backend.kind === "tcp" || kind !== "http" && kind !== "upgrade") {
    log.warn("a gateway asked for a service in another way than it is served", { service, kind });
    return stream.reset("refused", "The service is not served in this way");
  }
  const logAccess = work.config.log.access;
  const request = decodeRequestHead(open.head);
  const onDone = (facts: ReplayFacts): void => {
    const fields = { service, method: request.method, status: facts.status };
    if (facts.error) {
      log.warn("the target failed", { ...fields, code: facts.error.code, error: facts.error.message });
    } else if (logAccess) log.info("replayed", fields);
  };
  const options = { stream, request, body: open.body, upgrade: kind === "upgrade", onDone };
  if (backend.kind === "http") replay({ ...options, client: backend.client });
  else void replayToApp({ ...options, handler: backend.handler });
}

/** A raw connection: dialled, and spliced with its stream. */
function acceptConnection(
  stream: Stream,
  open: OpenPayload,
  { connect, name, proxyVersion }: Extract<Backend, { kind: "tcp" }>,
  { config, log }: Work,
): void {
  const { service, head } = open;
  const preface = prefaceOf(proxyVersion, head);
  acceptTcp({
    ...{ stream, open, connect, address: name },
    connectTimeoutMs: config.limits.connectTimeout,
    idleTimeoutMs: config.limits.idleTimeout,
    ...(preface === undefined ? {} : { preface }),
    onDone: ({ error, by, code, readBytes, writtenBytes }: ConnectionFacts) => {
      if (error) log.warn("the target failed", { service, code: error.code, error: error.message });
      else if (config.log.access) log.info("spliced", { service, by, code, readBytes, writtenBytes });
    },
  });
}

/** What this side claims of itself. The gateway shows it and never believes it. */
function helloFields(config: Readonly<AgentConfig>, backends: ReadonlyMap<string, Backend>): string[] {
  const services = [...backends.keys()];
  const tcp = services.filter((service) => backends.get(service)!.kind === "tcp");
  const ports = config.serve.flatMap(({ service, target }) =>
    "port" in target ? [`${service}:${target.port}`] : []
  );
  return [
    ...["services", services.join(","), "tcp", tcp.join(","), "ports", ports.join(",")],
    ...["version", VERSION, "runtime", runtimeName],
    ...Object.entries(ownPlace(config)).flat(),
  ];
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

function logState(log: Logger, gateway: string, state: DialerState): void {
  if (state.kind === "waiting" && state.error) {
    log.warn("cannot link", { gateway, error: state.error.message, retryMs: state.delayMs });
  } else if (state.kind === "ended" && state.error) {
    log.error("refused", { gateway, error: state.error.message });
  } else {
    log.debug(state.kind, { gateway });
  }
}

async function main(argv: string[]): Promise<ExitCode> {
  return await runProgram({
    program: AGENT_PROGRAM,
    version: `${VERSION} (${runtimeName} ${runtimeVersion})`,
    argv,
    commands: {
      ...AGENT_COMMANDS,
      run: async (flags) => {
        const refusal = refusalToStart();
        if (refusal) throw new StartError(refusal);
        const config = loadConfig({ schema: agentConfig, flags, env: process.env });
        const log = createLogger({ ...config.log, isTerminal: process.stderr.isTTY === true });
        sealIfAsked(config, log);
        const token = config.token?.reveal() ?? readText(config.tokenFile!, "--token-file").trim();
        const agent = await startAgent({ config, token, log });
        void agent.ready.then(() => process.stdout.write(readyLine(config, agent.doors)));
        const stopped = untilStopped(log, (graceMs) => agent.stop(graceMs), config.limits.grace);
        // Without a stop the agent ends only when every gateway refused it for good, which throws.
        await Promise.race([stopped, agent.done]);
        return EXIT.stopped;
      },
    },
    explain: explainAgentError,
  });
}

/** The line that tells that services can be reached, and where the doors are. */
function readyLine(config: Readonly<AgentConfig>, { reach, egress }: OpenDoors): string {
  const services = [
    ...config.serve.map(({ service }) => service),
    ...(config.as === undefined ? [] : [config.as]),
  ];
  const gateways = config.gateway.map((gateway) => formatGateway(dialAddress(gateway)));
  const doors = {
    ...(config.reach.length > 0 ? { reach } : {}),
    ...(egress === undefined ? {} : { egress }),
  };
  return `ready ${JSON.stringify({ gateways, services, ...doors })}\n`;
}

runAsMain(import.meta.main, main);
