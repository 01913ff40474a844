/**
 * netwall-gateway: visitor → identify → route → select → forward → record.
 *
 * The gateway is the only thing that listens. Agents dial in and keep a link open; a visitor's request becomes a
 * stream on a link of the service that its host and path belong to, by name and never by address.
 *
 * Read `requestStory` first, then lib/http/forward.ts; lib/wire/SPEC.md is the protocol to the agents.
 *
 * @module
 */
import { Hono } from "hono";
import { adminApp } from "./lib/admin/api.ts";
import { explainGatewayError, GATEWAY_PROGRAM, TOKEN_COMMANDS } from "./lib/gateway/program.ts";
import { listenAdmin } from "./lib/gateway/admin_listener.ts";
import { Outcomes } from "./lib/gateway/outcome.ts";
import { quickstart, type RunningGateway } from "./lib/gateway/quickstart.ts";
import { clientAddress, TrustedProxies } from "./lib/auth/client_ip.ts";
import { loadOrCreateAdminToken, loadOrCreateKey } from "./lib/auth/key_store.ts";
import { Revocations } from "./lib/auth/token_list.ts";
import type { ExitCode } from "./lib/cli/exit.ts";
import { runAsMain, runProgram, untilStopped } from "./lib/cli/program.ts";
import { LINK_PATH } from "./lib/config/addresses.ts";
import { type GatewayConfig, gatewayConfig } from "./lib/config/gateway_config.ts";
import type { ListenAddress } from "./lib/config/listen.ts";
import { loadConfig } from "./lib/config/load.ts";
import type { Failure } from "./lib/http/failure.ts";
import { forward, type ForwardFacts } from "./lib/http/forward.ts";
import { forwardUpgrade } from "./lib/http/forward_upgrade.ts";
import { openListeners, type PublicListeners } from "./lib/gateway/public_listeners.ts";
import { readRequest } from "./lib/http/reading.ts";
import { forwardedFields } from "./lib/http/request_fields.ts";
import { RequestIds, upgradeProtocols, type Visit, VisitRequest } from "./lib/http/visit.ts";
import { type Arrival, type ListenAt, ListenFault, listenFault } from "./lib/http/visitor_server.ts";
import { createLogger, type Logger } from "./lib/log.ts";
import { GatewayMetrics } from "./lib/metrics/gateway_metrics.ts";
import { MemoryBudget } from "./lib/mux/budget.ts";
import type { Session } from "./lib/mux/session.ts";
import { Admission, type AdmissionEvent } from "./lib/gateway/admission.ts";
import { Registry } from "./lib/routing/registry.ts";
import { Router } from "./lib/routing/router.ts";
import { refusalToStart } from "./lib/runtime/hardening.ts";
import { runtimeName, runtimeVersion } from "./lib/runtime/runtime.ts";
import type { FlagValues } from "./lib/settings.ts";
import { VERSION } from "./lib/version.ts";
import { encodeRequestHead } from "./lib/wire/head.ts";

/** What the handlers of Hono return when the answer goes out on the raw connection. */
const SENT = new Response(null);

/** How often the list of revoked tokens is looked at. */
const REVOCATIONS_POLL_MS = 1_000;

/** Under a domain, how long after a start a service that was not seen yet counts as away and not as unknown. */
const RETURN_MS = 30_000;

/** When nothing is left to carry, how long an agent may take to say that it has heard. */
const LINKS_END_MS = 1_000;

/** RFC 9110 §9.2.2: doing it twice is doing it once. */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

/** What the handling of requests works with. */
interface Plane {
  readonly config: Readonly<GatewayConfig>;
  readonly log: Logger;
  readonly router: Router;
  readonly registry: Registry;
  readonly metrics: GatewayMetrics;
  readonly outcomes: Outcomes;
  readonly admission: Admission;
  readonly trusted: TrustedProxies;
  readonly ids: RequestIds;
  readonly startedMs: number;
  /** The public HTTPS port, for redirects. */
  httpsPort: number | undefined;
}

type VisitEnv = { Bindings: { visit: Visit } };

/** The story of a request, in order. Upgrades and links take the same road. */
function requestStory(plane: Plane): Hono<VisitEnv> {
  const app = new Hono<VisitEnv>();
  app.all(LINK_PATH, (c) => link(plane, c.env.visit));
  if (plane.config.redirectHttps) {
    app.use("*", async (c, next) => redirect(plane, c.env.visit) ?? await next());
  }
  // One handler and not a chain: a middleware for each step was measured at 4 % of the gateway's time.
  app.all("*", (c) => route(plane, c.env.visit) ?? selectAndForward(plane, c.env.visit));
  app.onError((error, c) => {
    plane.log.error("fault", { requestId: c.env.visit.id, error });
    plane.metrics.fault();
    return refuse(plane, c.env.visit, 500, "The gateway failed");
  });
  return app;
}

/** On a listener for links there is nothing else. */
function linkStory(plane: Plane): Hono<VisitEnv> {
  const app = new Hono<VisitEnv>();
  app.all(LINK_PATH, (c) => link(plane, c.env.visit));
  app.notFound((c) => refuse(plane, c.env.visit, 404, "Only agents link here"));
  return app;
}

/** identify: reads the request once; everything after uses that reading. */
function identify(plane: Plane, arrival: Arrival, peer: string, secure: boolean): Visit | undefined {
  const id = plane.ids.next();
  const reading = readRequest(arrival.incoming, plane.config.limits.headBytesMax);
  if ("detail" in reading) {
    plane.outcomes.unreadable(arrival, reading, id);
    return undefined;
  }
  const { trusted } = plane;
  const address = clientAddress(peer, reading.forwarded.xForwardedFor, trusted);
  const visitor = {
    peer: trusted.empty ? address : clientAddress(peer, undefined, trusted),
    trusted: trusted.includes(peer),
    scheme: secure ? "https" as const : "http" as const,
  };
  return { arrival, reading, id, visitor, address, startMs: performance.now(), service: "" };
}

/** A link of an agent; whoever else comes by this path is told what it is for. */
function link(plane: Plane, visit: Visit): Response {
  const { incoming, upgrade } = visit.arrival;
  if (!upgrade) return refuse(plane, visit, 426, "This is where agents link: use netwall-agent");
  upgrade.untrack();
  plane.admission.handleUpgrade(incoming, upgrade.socket, upgrade.early);
  return SENT;
}

function redirect(plane: Plane, visit: Visit): Response | undefined {
  if (visit.visitor.scheme === "https") return undefined;
  const port = plane.httpsPort === 443 ? "" : `:${plane.httpsPort}`;
  const location = `https://${visit.reading.host}${port}${visit.reading.target}`;
  return refuse(plane, visit, 308, "This is served over HTTPS", ["Location", location]);
}

/** route: from host and path to the name of a service. */
function route(plane: Plane, visit: Visit): Response | undefined {
  const { host, paths } = visit.reading;
  const match = plane.router.match(host, paths[0]!);
  // A target that tidies paths might be asked for what another route guards.
  if (paths.length > 1 && plane.router.match(host, paths[1]!)?.service !== match?.service) {
    return refuse(plane, visit, 400, "The path can be read in two ways that lead to two services");
  }
  // Under a domain every name is a route, but only the names of agents are services.
  // Anybody can make up a name under it, so an unknown one never becomes a label of the metrics.
  const unknown = match === undefined ||
    match.route === `*.${plane.config.domain}` && !plane.registry.knows(match.service);
  if (unknown && match && performance.now() - plane.startedMs < RETURN_MS) {
    return fail(plane, visit, "destination_unavailable", "No agent serves this right now");
  }
  if (unknown) {
    return fail(plane, visit, "destination_not_found", "No service is published under this address");
  }
  visit.service = match.service;
  return undefined;
}

/** select → forward → record. A request that surely did nothing yet is sent once more, on another link. */
async function selectAndForward(plane: Plane, visit: Visit): Promise<Response> {
  const { reading, arrival, service } = visit;
  const { bodyBytesMax } = plane.config.limits;
  if (bodyBytesMax > 0 && reading.contentLength > bodyBytesMax) {
    return refuse(plane, visit, 413, `The body is over ${bodyBytesMax} bytes`);
  }
  if (arrival.upgrade && reading.hasBody) {
    return refuse(plane, visit, 501, "An upgrade with a body is not served");
  }
  const protocols = arrival.upgrade && upgradeProtocols(reading.upgrade);
  let head: Uint8Array;
  try {
    const { method, target } = reading;
    head = encodeRequestHead({ method, target, fields: forwardedFields(reading, visit.visitor, protocols) });
  } catch (error) {
    if (error instanceof RangeError) return refuse(plane, visit, 431, "The head is too large");
    throw error;
  }
  let tried: Session | undefined;
  let facts: ForwardFacts | undefined;
  for (let attempt = 1; attempt <= 2; attempt++) {
    const attachment = plane.registry.select(service, tried);
    if (attachment === undefined) break;
    tried = attachment.session;
    if (attempt > 1) plane.metrics.retry(service);
    facts = await forwardOn(tried, plane, visit, head, protocols);
    const mayRepeat = IDEMPOTENT.has(reading.method) || facts.failure === "connection_limit_reached";
    if (!facts.retryable || !mayRepeat) break;
  }
  if (facts === undefined) {
    return fail(plane, visit, "destination_unavailable", "No agent serves this right now");
  }
  plane.outcomes.record(visit, facts);
  return SENT;
}

function forwardOn(
  session: Session,
  plane: Plane,
  visit: Visit,
  head: Uint8Array,
  protocols: string | undefined,
): Promise<ForwardFacts> {
  const { limits } = plane.config;
  const { incoming, outgoing, upgrade } = visit.arrival;
  const { method, hasBody } = visit.reading;
  const shared = { session, service: visit.service, head, method, answerTimeoutMs: limits.answerTimeout };
  if (upgrade) {
    const { socket, early } = upgrade;
    return forwardUpgrade({ ...shared, socket, early, upgrade: protocols !== undefined });
  }
  return forward({
    ...{ ...shared, incoming, outgoing: outgoing!, hasBody },
    bodyBytesMax: limits.bodyBytesMax,
    idleTimeoutMs: limits.idleTimeout,
  });
}

function refuse(plane: Plane, visit: Visit, status: number, detail: string, extra?: string[]): Response {
  plane.outcomes.refuse(visit, status, detail, extra);
  return SENT;
}

function fail(plane: Plane, visit: Visit, failure: Failure, detail: string): Response {
  plane.outcomes.fail(visit, failure, detail);
  return SENT;
}

/** Opens every listener and takes agents in. */
export async function startGateway(config: Readonly<GatewayConfig>, log: Logger): Promise<RunningGateway> {
  const registry = new Registry();
  const budget = new MemoryBudget(config.limits.memory, true);
  const { limits } = config;
  const metrics = new GatewayMetrics(() => ({
    ...registry.totals(),
    heldBytes: budget.heldBytes,
    shedTotal: budget.shedTotal,
  }));
  const revocations = new Revocations({
    dataDir: config.data,
    intervalMs: REVOCATIONS_POLL_MS,
    onChange: (ids) => admission.revoke(ids),
    onError: (error) => log.error("cannot read the revoked tokens", { error }),
  });
  const admission = new Admission({
    ...{ registry, budget, key: await loadOrCreateKey(config.data) },
    isRevoked: (id) => revocations.has(id),
    streamsMax: limits.streamsMax,
    sessionWindowBytes: limits.sessionWindow,
    helloFields: ["version", VERSION],
    onEvent: (event) => recordLink(log, metrics, event),
    onStreamReset: (code, remote) => metrics.streamReset(code, remote),
    onFault: (error) => {
      metrics.fault();
      log.error("fault", { error });
    },
  });
  const plane: Plane = {
    ...{ config, log, registry, metrics, admission, ids: new RequestIds() },
    outcomes: new Outcomes({ metrics, log, logAccess: config.log.access }),
    router: new Router(config.route, config.domain),
    trusted: new TrustedProxies(config.trustedProxy),
    startedMs: performance.now(),
    httpsPort: undefined,
  };
  if (config.route.length === 0 && config.domain === undefined) {
    log.warn("no route is given, so every visitor gets 404: add --route '*=SERVICE' or --domain NAME");
  }
  const listeners = await openDoors(plane);
  plane.httpsPort = listeners.httpsPort;
  let stopping = false;
  const at = listenAt(config.admin);
  const token = loadOrCreateAdminToken(config.data);
  const app = adminApp({ token, metrics, registry, ready: () => !stopping });
  const admin = at && await listenAdmin(app, at).catch(async (error) => {
    await listeners.close(0);
    throw listenFault(at, error);
  });
  return {
    addresses: admin ? { ...listeners.addresses, admin: admin.address } : listeners.addresses,
    async stop(graceMs: number): Promise<void> {
      stopping = true;
      // Agents dial another gateway while this one finishes what it has.
      admission.leave();
      await listeners.close(graceMs, () => admission.drain(LINKS_END_MS));
      revocations.stop();
      admin?.close();
    },
  };
}

/** Opens the listeners of visitors and links, and leads what arrives into its story. */
function openDoors(plane: Plane): Promise<PublicListeners> {
  const { config, metrics, log } = plane;
  const { limits } = config;
  const tell = (app: Hono<VisitEnv>, arrival: Arrival, peer: string, secure: boolean): void => {
    const visit = identify(plane, arrival, peer, secure);
    if (visit) void app.fetch(new VisitRequest(visit) as unknown as Request, { visit });
  };
  const story = requestStory(plane);
  const links = linkStory(plane);
  return openListeners({
    http: listenAt(config.http),
    https: config.https.kind !== "tcp" ? undefined : {
      ...config.https,
      certificates: config.cert.map((certPath, i) => ({ certPath, keyPath: config.key[i]! })),
    },
    links: config.link.map((address) => listenAt(address)!),
    limits: {
      headBytesMax: limits.headBytesMax,
      headTimeoutMs: limits.headTimeout,
      keepAliveTimeoutMs: limits.keepAliveTimeout,
      connectionsMax: limits.connectionsMax,
      onRefused: () => metrics.dropped("connections"),
    },
    onVisitor: (arrival, peer, secure) => tell(story, arrival, peer, secure),
    onLink: (arrival) => tell(links, arrival, "unix", false),
    onCertificate: ({ path, message }, kind) => log[kind === "renewed" ? "info" : "error"](message, { path }),
  });
}

function listenAt(address: ListenAddress): ListenAt | undefined {
  if (address.kind === "off") return undefined;
  return address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port };
}

function recordLink(log: Logger, metrics: GatewayMetrics, event: AdmissionEvent): void {
  if (event.kind === "linked") {
    const { agent, services, session, claimed } = event.attachment;
    metrics.link(event.again ? "remade" : "made");
    log.info("linked", { agent, services: services.join(","), peer: session.link.peer, ...claimed });
  } else if (event.kind === "lost") {
    const { agent, peer, end } = event;
    metrics.link("lost");
    log.info("link ended", { agent, peer, code: end.code, reason: end.message });
  } else {
    metrics.link("refused");
    log.warn("link refused", { peer: event.peer, code: event.code, reason: event.message });
  }
}

async function main(argv: string[]): Promise<ExitCode> {
  return await runProgram({
    program: GATEWAY_PROGRAM,
    version: `${VERSION} (${runtimeName} ${runtimeVersion})`,
    argv,
    commands: {
      ...TOKEN_COMMANDS,
      serve,
      // The agent is loaded only here: in a bundle both programs are one module, and the first to run is the program.
      quickstart: (flags) =>
        quickstart(flags, startGateway, async () => (await import("./agent.ts")).startAgent),
    },
    explain: explainGatewayError,
  });
}

async function serve(flags: FlagValues): Promise<ExitCode> {
  const refusal = refusalToStart();
  if (refusal) throw new ListenFault(refusal);
  const config = loadConfig({ schema: gatewayConfig, flags, env: process.env });
  const log = createLogger({ ...config.log, isTerminal: process.stderr.isTTY === true });
  const gateway = await startGateway(config, log);
  const stopped = untilStopped(log, (graceMs) => gateway.stop(graceMs), config.limits.grace);
  process.stdout.write(`ready ${JSON.stringify(gateway.addresses)}\n`);
  return await stopped;
}

runAsMain(import.meta.main, main);
