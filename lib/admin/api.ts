/**
 * The admin app: health for probes, metrics, and the API for operators.
 *
 * `/healthz` and `/readyz` say one word and need nothing, since probes hold no secrets. All else needs an admin
 * token, also on loopback: every process of the machine can dial that. There are no cookies and no answers to
 * other origins, so no page of anybody else can use it.
 *
 * @module
 */
import { type Context, Hono } from "hono";
import { clientAddress, TrustedProxies } from "../auth/client_ip.ts";
import type { GatewayMetrics } from "../metrics/gateway_metrics.ts";
import { sourceKeyOf } from "../policy/rate_limit.ts";
import type { Registry } from "../routing/registry.ts";
import { type AccessOptions, type Caller, identify } from "./access.ts";
import type { Backend, TokenBackend } from "./backend.ts";
import type { FirewallControl } from "./control.ts";
import { ApiFault, faultOf, faultResponse } from "./fault.ts";
import type { LiveStream } from "./live_stream.ts";
import { apiRoutes } from "./routes.ts";
import type { Route } from "./route.ts";
import { Turns } from "./turns.ts";

export interface AdminOptions extends AccessOptions {
  metrics: GatewayMetrics;
  registry: Registry;
  /** False from the moment the gateway begins to stop. */
  ready(): boolean;
  /** Without it the routes of the firewall answer 404. */
  firewall?: FirewallControl;
  /** The live stream of the same firewall; whoever makes it closes it. */
  live?: LiveStream;
  /** Without it agent tokens cannot be managed here. */
  tokens?: TokenBackend;
  /** Such as `bun 1.4.5`. */
  runtime?: string;
  /** When the gateway started, since 1970. @default now */
  startedAtMs?: number;
  /** Told what nobody foresaw; the caller gets 500 and no word of it. */
  onFault?(error: unknown): void;
}

/** What the server under the app may hand over, see @hono/node-server; absent when the app is called by itself. */
interface Connection {
  readonly incoming?: { readonly socket?: { readonly remoteAddress?: string | undefined } };
  readonly outgoing?: { destroy(): unknown };
}

interface AdminEnv {
  // deno-lint-ignore no-explicit-any -- Hono wants a record of what the server binds
  Bindings: any;
  Variables: { caller: Caller };
}

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
};

/** Makes the app. Answer it with `app.fetch`, or try it with `app.request`. */
export function adminApp(options: AdminOptions): Hono<AdminEnv> {
  const { metrics } = options;
  const turns = new Turns();
  const routes = apiRoutes();
  // Nobody may say on behalf of others who asks: a proxy before this listener counts as one peer.
  const nobody = new TrustedProxies([]);
  const app = new Hono<AdminEnv>();
  app.use("*", async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) c.res.headers.set(name, value);
    // Hono leaves the body of a HEAD unread: a stream behind it would stay open for ever.
    if (c.req.method === "HEAD") await c.res.body?.cancel();
  });
  app.get("/healthz", (c) => c.text("ok\n"));
  app.get("/readyz", (c) => options.ready() ? c.text("ready\n") : c.text("stopping\n", 503));
  app.use("*", async (c, next) => {
    const address = connectionOf(c).incoming?.socket?.remoteAddress ?? "";
    const peer = sourceKeyOf(clientAddress(address, undefined, nobody));
    const caller = await identify(options, c.req.header("authorization"), peer);
    if (caller instanceof ApiFault) return faultResponse(caller);
    c.set("caller", caller);
    return await next();
  });
  app.get(
    "/metrics",
    async (c) => {
      const text = await turns.take(c.get("caller").actor.role, () => metrics.text());
      return c.body(text, 200, { "Content-Type": metrics.contentType });
    },
  );
  addRoutes(app, routes, backendOf(options, turns));
  app.notFound((c) => faultResponse(missing(c.req.path, routes)));
  app.onError((error) => {
    const fault = faultOf(error);
    if (fault !== undefined) return faultResponse(fault);
    options.onFault?.(error);
    return faultResponse(new ApiFault(500, "The gateway failed at this: its log says more"));
  });
  return app;
}

function addRoutes(app: Hono<AdminEnv>, routes: readonly Route[], backend: Backend): void {
  for (const route of routes) {
    app.on(route.method.toUpperCase(), route.path.replaceAll(/\{(\w+)\}/g, ":$1"), (c) => {
      const { outgoing } = connectionOf(c);
      return route.answerTo({
        request: c.req.raw,
        params: c.req.param(),
        caller: c.get("caller"),
        backend,
        cut: outgoing && (() => void outgoing.destroy()),
      });
    });
  }
}

function backendOf(options: AdminOptions, turns: Turns): Backend {
  const { registry, firewall, live, tokens, runtime = "", nowMs = Date.now } = options;
  return {
    ...{ turns, registry, runtime, nowMs, startedAtMs: options.startedAtMs ?? nowMs() },
    ready: () => options.ready(),
    ...(firewall === undefined ? {} : { firewall }),
    ...(live === undefined ? {} : { live }),
    ...(tokens === undefined ? {} : { tokens }),
  };
}

function connectionOf(c: Context<AdminEnv>): Connection {
  return (c.env ?? {}) as Connection;
}

/** A path that is there for another method is 405 with the methods it is there for. */
function missing(path: string, routes: readonly Route[]): ApiFault {
  const methods = path === "/metrics" || path === "/healthz" || path === "/readyz"
    ? ["GET", "HEAD"]
    : routes.filter((route) => pathPattern(route.path).test(path)).flatMap(({ method }) =>
      method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()]
    );
  if (methods.length === 0) return new ApiFault(404, "There is nothing here: see /api/v1/openapi.json");
  return new ApiFault(405, `This takes ${methods.join(", ")}`, undefined, { Allow: methods.join(", ") });
}

function pathPattern(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}$`);
}
