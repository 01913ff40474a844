/**
 * netwall-gateway: visitor → identify → route → select → decide → forward → record.
 *
 * The gateway is the only thing that listens. Agents dial in and keep a link open; a visitor's request or connection
 * becomes a stream on a link of the service that it belongs to, by name and never by address. Agents call each other
 * and the outside by the same links.
 *
 * Read `requestStory` first, then lib/http/forward.ts, and for what is not HTTP lib/gateway/connections.ts and
 * calls.ts; lib/wire/SPEC.md is the protocol to the agents.
 *
 * @module
 */
import { Hono } from "hono";
import { Calls } from "./lib/gateway/calls.ts";
import { Connections } from "./lib/gateway/connections.ts";
import { entryOf, type GatewaySettings, routerOf } from "./lib/gateway/entry.ts";
import { COMMANDS, explainGatewayError, GATEWAY_PROGRAM } from "./lib/gateway/program.ts";
import { openAdmin } from "./lib/gateway/admin_listener.ts";
import { decideRequest, endRequest, linkDenial } from "./lib/gateway/decide.ts";
import type { GatewayVisit } from "./lib/gateway/flows.ts";
import { identify, identifyCall, type IdentifyOptions, type Peer } from "./lib/gateway/identify.ts";
import { openFirewall, type RunningFirewall } from "./lib/gateway/open_firewall.ts";
import { InnerDoor } from "./lib/gateway/inner_door.ts";
import { recordLink } from "./lib/gateway/link_record.ts";
import { Outcomes } from "./lib/gateway/outcome.ts";
import { quickstart, type RunningGateway } from "./lib/gateway/quickstart.ts";
import { TrustedProxies } from "./lib/auth/client_ip.ts";
import { loadOrCreateKey } from "./lib/auth/key_store.ts";
import type { SigningKey } from "./lib/auth/token.ts";
import { Revocations } from "./lib/auth/token_list.ts";
import type { ExitCode } from "./lib/cli/exit.ts";
import { runAsMain, runProgram, untilStopped } from "./lib/cli/program.ts";
import { LINK_PATH } from "./lib/config/addresses.ts";
import { gatewayConfig } from "./lib/config/gateway_config.ts";
import { loadConfig } from "./lib/config/load.ts";
import { type Failure, isUndone } from "./lib/http/failure.ts";
import type { ForwardFacts } from "./lib/http/forward_options.ts";
import { forwardVisit } from "./lib/gateway/forward_visit.ts";
import {
  doorsOf,
  listenAt,
  openListeners,
  type PublicListeners,
  serverLimits,
} from "./lib/gateway/public_listeners.ts";
import { routeTls } from "./lib/gateway/tls_listeners.ts";
import { forwardedFields } from "./lib/http/request_fields.ts";
import { RequestIds, upgradeProtocols, VisitRequest } from "./lib/http/visit.ts";
import { type Arrival, ListenFault } from "./lib/http/visitor_server.ts";
import { createLogger, type Logger } from "./lib/log.ts";
import { EgressPolicy } from "./lib/egress/egress_policy.ts";
import { GatewayMetrics } from "./lib/metrics/gateway_metrics.ts";
import { MemoryBudget } from "./lib/mux/budget.ts";
import type { Session } from "./lib/mux/session.ts";
import { Admission } from "./lib/gateway/admission.ts";
import { Registry } from "./lib/routing/registry.ts";
import type { Router } from "./lib/routing/router.ts";
import { TlsRouter } from "./lib/routing/tls_router.ts";
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
  readonly config: GatewaySettings;
  readonly log: Logger;
  readonly router: Router;
  readonly tlsRouter: TlsRouter;
  readonly registry: Registry;
  readonly metrics: GatewayMetrics;
  readonly outcomes: Outcomes;
  readonly admission: Admission;
  readonly key: SigningKey;
  readonly revocations: Revocations;
  readonly connections: Connections;
  /** Without it everything is forwarded and nothing is known. */
  readonly firewall: RunningFirewall | undefined;
  /** What requests are read with. */
  readonly reader: IdentifyOptions;
  readonly startedMs: number;
  /** The public HTTPS port, for redirects. */
  httpsPort: number | undefined;
  /** Set before anything listens. */
  calls: Calls | undefined;
}

type VisitEnv = { Bindings: { visit: GatewayVisit } };

/** The story of a request, in order. Upgrades and links take the same road. */
function requestStory(plane: Plane): Hono<VisitEnv> {
  const app = new Hono<VisitEnv>();
  app.all(LINK_PATH, (c) => link(plane, c.env.visit));
  if (plane.config.redirectHttps) {
    app.use("*", async (c, next) => redirect(plane, c.env.visit) ?? await next());
  }
  // One handler and not a chain: a middleware for each step was measured at 4 % of the gateway's time.
  app.all("*", (c) => route(plane, c.env.visit) ?? selectAndForward(plane, c.env.visit));
  app.onError((error, c) => fault(plane, c.env.visit, error));
  return app;
}

function fault(plane: Plane, visit: GatewayVisit, error: Error): Response {
  plane.log.error("fault", { requestId: visit.id, error });
  plane.metrics.fault();
  return refuse(plane, visit, 500, "The gateway failed");
}

/** A call of another agent: its service is known, and so is who calls. */
function callStory(plane: Plane): Hono<VisitEnv> {
  const app = new Hono<VisitEnv>();
  app.all("*", (c) => selectAndForward(plane, c.env.visit));
  app.onError((error, c) => fault(plane, c.env.visit, error));
  return app;
}

/** On a listener for links there is nothing else. */
function linkStory(plane: Plane): Hono<VisitEnv> {
  const app = new Hono<VisitEnv>();
  app.all(LINK_PATH, (c) => link(plane, c.env.visit));
  app.notFound((c) => refuse(plane, c.env.visit, 404, "Only agents link here"));
  return app;
}

/** A link of an agent; whoever else comes by this path is told what it is for. */
function link(plane: Plane, visit: GatewayVisit): Response {
  const { incoming, upgrade } = visit.arrival;
  if (!upgrade) return refuse(plane, visit, 426, "This is where agents link: use netwall-agent");
  upgrade.untrack();
  plane.admission.handleUpgrade(incoming, upgrade.socket, upgrade.early);
  return SENT;
}

function redirect(plane: Plane, visit: GatewayVisit): Response | undefined {
  if (visit.visitor.scheme === "https") return undefined;
  const port = plane.httpsPort === 443 ? "" : `:${plane.httpsPort}`;
  const location = `https://${visit.reading.host}${port}${visit.reading.target}`;
  return refuse(plane, visit, 308, "This is served over HTTPS", ["Location", location]);
}

/** route: from host and path to the name of a service. */
function route(plane: Plane, visit: GatewayVisit): Response | undefined {
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

/** select → decide → forward → record. A request that surely did nothing yet is sent once more, on another link. */
async function selectAndForward(plane: Plane, visit: GatewayVisit): Promise<Response> {
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
  const firewall = plane.firewall?.firewall;
  let tried: Session | undefined;
  let facts: ForwardFacts | undefined;
  for (let attempt = 1; attempt <= 2; attempt++) {
    const attachment = plane.registry.select(service, tried);
    if (attachment === undefined) break;
    if (facts !== undefined) plane.outcomes.retry(visit, facts);
    tried = attachment.session;
    visit.agent = attachment.agent;
    const denial = firewall && decideRequest(firewall, visit, attachment);
    if (denial) return refuse(plane, visit, denial.status, denial.detail, denial.fields);
    facts = await forwardVisit(tried, visit, head, protocols, plane, linkDenial(visit));
    if (!facts.retryable || !IDEMPOTENT.has(reading.method) && !isUndone(facts.failure)) break;
  }
  if (facts === undefined) return fail(plane, visit, "destination_unavailable", absence(plane, service));
  if (firewall) endRequest(firewall, visit, facts);
  plane.outcomes.record(visit, facts);
  return SENT;
}

/** Why nobody can be asked. */
function absence({ registry }: Plane, service: string): string {
  return registry.kindOf(service) === "tcp"
    ? "This service takes raw connections and no HTTP"
    : "No agent serves this right now";
}

function refuse(
  plane: Plane,
  visit: GatewayVisit,
  status: number,
  detail: string,
  extra?: string[],
): Response {
  plane.outcomes.refuse(visit, status, detail, extra);
  return SENT;
}

function fail(plane: Plane, visit: GatewayVisit, failure: Failure, detail: string): Response {
  plane.outcomes.fail(visit, failure, detail);
  return SENT;
}

/** Opens every listener and takes agents in. */
export async function startGateway(config: GatewaySettings, log: Logger): Promise<RunningGateway> {
  const plane = await makePlane(config, log);
  const { admission, registry, metrics } = plane;
  if (config.route.length === 0 && config.domain === undefined && config.tcp.length === 0) {
    log.warn("no route is given, so every visitor gets 404: add --route '*=SERVICE' or --domain NAME");
  }
  const inner = openInner(plane);
  plane.calls = new Calls({
    ...{ registry, inner, connections: plane.connections, egress: new EgressPolicy(config.allowEgress) },
    ...{ connectTimeoutMs: config.limits.connectTimeout, idleTimeoutMs: config.limits.idleTimeout },
    ...{ callsMax: config.limits.connectionsMax, firewall: plane.firewall?.firewall },
  });
  const listeners = await openDoors(plane, inner);
  plane.httpsPort = listeners.httpsPort;
  let stopping = false;
  const at = listenAt(config.admin);
  const ready = (): boolean => !stopping;
  const admin = at && await openAdmin(at, {
    ...{ dataDir: config.data, metrics, registry, ready, log },
    ...{ key: plane.key, revocations: plane.revocations, firewall: plane.firewall },
    ...{ traffic: { traffic: plane.outcomes.traffic, inner }, entry: entryOf(config, listeners.addresses) },
  }).catch(async (error) => {
    await listeners.close(0);
    await plane.firewall?.close();
    throw error;
  });
  return {
    addresses: admin ? { ...listeners.addresses, admin: admin.address } : listeners.addresses,
    pageLink: () => admin?.oneTimeLink("operator"),
    async stop(graceMs: number): Promise<void> {
      stopping = true;
      // Agents dial another gateway while this one finishes what it has.
      admission.leave();
      await listeners.close(graceMs, () => admission.drain(LINKS_END_MS));
      inner.cut();
      plane.revocations.stop();
      admin?.close();
      await plane.firewall?.close();
    },
  };
}

/** Makes what the stories work with. Nothing listens yet. */
async function makePlane(config: GatewaySettings, log: Logger): Promise<Plane> {
  const registry = new Registry();
  const { limits } = config;
  const budget = new MemoryBudget(limits.memory, true);
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
  // Before anything listens: what no policy has judged passes nowhere.
  const firewall = config.firewall ? openFirewall({ config, log, metrics, registry }) : undefined;
  const key = await loadOrCreateKey(config.data);
  const admission = new Admission({
    ...{ registry, budget, key },
    isRevoked: (id) => revocations.has(id),
    streamsMax: limits.streamsMax,
    sessionWindowBytes: limits.sessionWindow,
    helloFields: ["version", VERSION],
    onEvent: (event) => recordLink({ log, metrics, firewall }, event),
    onCall: (call) => plane.calls!.take(call),
    onBusy: () => metrics.dropped("handshakes"),
    onStreamReset: (code, remote) => metrics.streamReset(code, remote),
    onFault: (error) => {
      metrics.fault();
      log.error("fault", { error });
    },
  });
  const outcomes = new Outcomes({ metrics, log, logAccess: config.log.access });
  const plane: Plane = {
    ...{ config, log, registry, metrics, admission, key, revocations, firewall, outcomes },
    connections: new Connections({
      ...{ registry, metrics, log, logAccess: config.log.access, idleTimeoutMs: limits.idleTimeout },
      ...{ firewall: firewall?.firewall, traffic: outcomes.traffic },
    }),
    reader: {
      ...{ trusted: new TrustedProxies(config.trustedProxy), ids: new RequestIds() },
      headBytesMax: limits.headBytesMax,
      onUnreadable: (arrival, fault, id) => outcomes.unreadable(arrival, fault, id),
    },
    router: routerOf(config, registry),
    tlsRouter: new TlsRouter(config.route),
    startedMs: performance.now(),
    httpsPort: undefined,
    calls: undefined,
  };
  return plane;
}

/** The door for calls between agents, and what leads a request that comes by it into its story. */
function openInner(plane: Plane): InnerDoor {
  const story = callStory(plane);
  const limits = { ...serverLimits(plane.config), onRefused: () => plane.metrics.dropped("connections") };
  return new InnerDoor(limits, (arrival, call) => {
    const visit = identifyCall(plane.reader, arrival, call);
    if (visit) void story.fetch(new VisitRequest(visit) as unknown as Request, { visit });
  });
}

/** Opens the listeners of visitors and links, and leads what arrives into its story. */
function openDoors(plane: Plane, inner: InnerDoor): Promise<PublicListeners> {
  const { config, metrics, log, connections } = plane;
  const tell = (app: Hono<VisitEnv>, arrival: Arrival, peer: Peer): void => {
    const visit = identify(plane.reader, arrival, peer);
    if (visit) void app.fetch(new VisitRequest(visit) as unknown as Request, { visit });
  };
  const story = requestStory(plane);
  const links = linkStory(plane);
  return openListeners({
    ...doorsOf(config),
    decideTls: (hello, hasOwn) => routeTls(plane, hello, hasOwn),
    onConnection: (incoming) => connections.take(incoming),
    onUnreadable: (visitor, detail) => log.warn("TLS refused", { visitor, detail }),
    onRefused: (queue) => metrics.dropped(queue),
    finishConnections: async (graceMs) => {
      await Promise.all([connections.finish(graceMs), inner.finish(graceMs)]);
    },
    onVisitor: (arrival, address, secure) => tell(story, arrival, { address, secure }),
    onLink: (arrival) => tell(links, arrival, { address: "unix", secure: false }),
    onCertificate: ({ path, message }, kind) => log[kind === "renewed" ? "info" : "error"](message, { path }),
  });
}

async function main(argv: string[]): Promise<ExitCode> {
  return await runProgram({
    program: GATEWAY_PROGRAM,
    version: `${VERSION} (${runtimeName} ${runtimeVersion})`,
    argv,
    commands: {
      ...COMMANDS,
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
