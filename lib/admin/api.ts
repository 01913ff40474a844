/**
 * The admin app: health for probes, metrics, the API for operators, and the page that uses it.
 *
 * `/healthz` and `/readyz` say one word and need nothing, since probes hold no secrets; neither does the page, which
 * is the same files for everybody. All else needs an admin token or a session of the page, also on loopback: every
 * process of the machine can dial that. No other origin is ever answered, and a session counts only beside a header
 * that other origins cannot send, so no page of anybody else can use it: see lib/admin/access.ts.
 *
 * @module
 */
import { type Context, Hono } from "hono";
import { clientAddress, TrustedProxies } from "../auth/client_ip.ts";
import type { GatewayMetrics } from "../metrics/gateway_metrics.ts";
import { sourceKeyOf } from "../policy/rate_limit.ts";
import type { Registry } from "../routing/registry.ts";
import { type AccessOptions, type Caller, grantOf, identify } from "./access.ts";
import type { Backend, Entry, TokenBackend } from "./backend.ts";
import type { FirewallControl } from "./control.ts";
import { ApiFault, faultOf, faultResponse } from "./fault.ts";
import type { LiveStream } from "./live_stream.ts";
import type { PageFiles } from "./page_files.ts";
import { apiRoutes } from "./routes.ts";
import type { Route } from "./route.ts";
import type { TrafficControl } from "./traffic_control.ts";
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
  /** Without it the routes of traffic answer 404. */
  traffic?: TrafficControl;
  /** Without it there is no page. */
  page?: PageFiles;
  /** Told with the status. */
  entry?: Entry;
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

const NO_PROXIES = new TrustedProxies([]);

interface AdminEnv {
  // deno-lint-ignore no-explicit-any -- Hono wants a record of what the server binds
  Bindings: any;
  Variables: { caller: Caller; isPage: boolean };
}

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
};

/**
 * What goes with the files of the page. They say themselves how long they are kept.
 *
 * Nothing runs but the page's own files, nothing is asked but this origin, and nothing that came from traffic can
 * become markup: there is no policy of trusted types, so that every sink of a script throws.
 */
const PAGE_HEADERS: Readonly<Record<string, string>> = {
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; " +
    "require-trusted-types-for 'script'; trusted-types 'none'",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Frame-Options": "DENY",
  "Permissions-Policy": [
    ...[
      "accelerometer",
      "camera",
      "clipboard-read",
      "display-capture",
      "geolocation",
      "gyroscope",
    ],
    ...["hid", "idle-detection", "local-fonts", "magnetometer", "microphone", "midi", "payment"],
    ...["publickey-credentials-get", "screen-wake-lock", "serial", "usb", "window-management"],
    "xr-spatial-tracking",
  ].map((feature) => `${feature}=()`).join(", "),
};

/** What is never the page's, whatever files it has. */
const NO_PAGE = /^\/(?:api|metrics|healthz|readyz)(?:\/|$)/;

/** Who calls a route for anyone. */
const NOBODY: Caller = {
  actor: { name: "nobody", role: "viewer" },
  grant: { name: "nobody", role: "viewer", endsAtMs: 0, generation: 0, isGood: () => false },
  isGood: () => false,
};

/** Makes the app. Answer it with `app.fetch`, or try it with `app.request`. */
export function adminApp(options: AdminOptions): Hono<AdminEnv> {
  const { metrics } = options;
  const turns = new Turns();
  const routes = apiRoutes();
  const backend = backendOf(options, turns);
  const app = new Hono<AdminEnv>();
  app.use("*", async (c, next) => {
    await next();
    const headers = c.get("isPage") === true ? PAGE_HEADERS : SECURITY_HEADERS;
    for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value);
    // Hono leaves the body of a HEAD unread: a stream behind it would stay open for ever.
    if (c.req.method === "HEAD") await c.res.body?.cancel();
  });
  app.get("/healthz", (c) => c.text("ok\n"));
  app.get("/readyz", (c) => options.ready() ? c.text("ready\n") : c.text("stopping\n", 503));
  app.get("*", async (c, next) => {
    const { path } = c.req;
    const file = NO_PAGE.test(path)
      ? undefined
      : options.page?.find(path, c.req.header("accept-encoding") ?? "");
    c.set("isPage", file !== undefined);
    return file ?? await next();
  });
  addRoutes(app, routes.filter(({ role }) => role === "anyone"), backend);
  app.use("*", async (c, next) => {
    const caller = await identify(options, c.req.raw.headers, peerOf(c));
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
  addRoutes(app, routes.filter(({ role }) => role !== "anyone"), backend);
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
        caller: route.role === "anyone" ? NOBODY : c.get("caller"),
        peer: peerOf(c),
        backend,
        cut: outgoing && (() => void outgoing.destroy()),
      });
    });
  }
}

function backendOf(options: AdminOptions, turns: Turns): Backend {
  const { registry, firewall, live, tokens, sessions, traffic, entry, runtime = "", nowMs = Date.now } =
    options;
  return {
    ...{ turns, registry, runtime, nowMs, startedAtMs: options.startedAtMs ?? nowMs() },
    ready: () => options.ready(),
    ...(firewall === undefined ? {} : { firewall }),
    ...(live === undefined ? {} : { live }),
    ...(tokens === undefined ? {} : { tokens }),
    ...(traffic === undefined ? {} : { traffic }),
    ...(entry === undefined ? {} : { entry }),
    ...(sessions === undefined ? {} : {
      sessions: { sessions, grantOf: (given, peer) => grantOf(options, given, peer) },
    }),
  };
}

function connectionOf(c: Context<AdminEnv>): Connection {
  return (c.env ?? {}) as Connection;
}

/** Nobody may say on behalf of others who asks: a proxy before this listener counts as one peer. */
function peerOf(c: Context<AdminEnv>): string {
  return sourceKeyOf(
    clientAddress(connectionOf(c).incoming?.socket?.remoteAddress ?? "", undefined, NO_PROXIES),
  );
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
