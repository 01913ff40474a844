/**
 * The admin listener: health for probes, metrics and state for operators.
 *
 * `/healthz` and `/readyz` say one word and need nothing, since probes hold no secrets. All else needs the admin
 * token, also on loopback: every process of the machine can dial that.
 *
 * @module
 */
import { Hono } from "hono";
import { secretsEqual } from "../auth/key_store.ts";
import type { GatewayMetrics } from "../metrics/gateway_metrics.ts";
import type { Attachment, Registry } from "../routing/registry.ts";

export interface AdminOptions {
  /** The admin token. */
  token: string;
  metrics: GatewayMetrics;
  registry: Registry;
  /** False from the moment the gateway begins to stop. */
  ready(): boolean;
}

/** What an agent claims of its wall; `unknown` until it has reported. */
function wallOf({ wall }: Attachment): Record<string, unknown> {
  if (wall === undefined) {
    return { state: "unknown", listeners: 0, exposed: [], faults: ["No report has come"] };
  }
  return { ...wall.claim, reportedAt: new Date(wall.atMs).toISOString() };
}

/** Makes the app. Answer it with `app.fetch`, or try it with `app.request`. */
export function adminApp(options: AdminOptions): Hono {
  const { token, metrics, registry } = options;
  const app = new Hono();
  app.get("/healthz", (c) => c.text("ok\n"));
  app.get("/readyz", (c) => options.ready() ? c.text("ready\n") : c.text("stopping\n", 503));
  app.use("*", async (c, next) => {
    const given = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(c.req.header("authorization") ?? "")?.[1];
    if (given !== undefined && secretsEqual(given, token)) return await next();
    c.header("WWW-Authenticate", 'Bearer realm="netwall"');
    c.header("Content-Type", "application/problem+json");
    const detail =
      "Send the admin token: Authorization: Bearer TOKEN, as in the file admin-token of the data directory";
    return c.body(JSON.stringify({ type: "about:blank", title: "Unauthorized", status: 401, detail }), 401);
  });
  app.get(
    "/metrics",
    async (c) => c.body(await metrics.text(), 200, { "Content-Type": metrics.contentType }),
  );
  app.get("/api/v1/links", (c) =>
    c.json({
      links: registry.all().map((attachment) => ({
        agent: attachment.agent,
        namespace: attachment.namespace,
        image: attachment.image,
        peer: attachment.session.link.peer,
        services: attachment.services,
        reach: attachment.reach,
        egress: attachment.egress,
        tcp: [...attachment.tcp],
        wall: wallOf(attachment),
        since: new Date(attachment.sinceMs).toISOString(),
        streams: attachment.session.streamsOpen,
        roundTripMs: Math.round(attachment.session.rttMs * 1000) / 1000,
        leaving: attachment.session.leaving,
        claimed: attachment.claimed,
      })),
    }));
  app.notFound((c) => {
    c.header("Content-Type", "application/problem+json");
    return c.body(JSON.stringify({ type: "about:blank", title: "Not Found", status: 404 }), 404);
  });
  return app;
}
