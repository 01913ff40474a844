/**
 * Every route of the admin API, and the document that describes them.
 *
 * @module
 */
import { z } from "zod";
import { EVENT_ROUTES } from "./event_routes.ts";
import { openApiDocument } from "./openapi.ts";
import { POLICY_ROUTES } from "./policy_routes.ts";
import { type Route, route } from "./route.ts";
import { SESSION_ROUTES } from "./session_routes.ts";
import { STATE_ROUTES } from "./state_routes.ts";
import { TOKEN_ROUTES } from "./token_routes.ts";
import { TRAFFIC_ROUTES } from "./traffic_routes.ts";

/** All routes, this document's own among them. */
export function apiRoutes(): readonly Route[] {
  // Made when it is first asked for, and once: it never changes.
  let document: Record<string, unknown> | undefined;
  const describe = route({
    id: "describeApi",
    method: "get",
    path: "/api/v1/openapi.json",
    summary: "This document",
    role: "viewer",
    answer: { description: "OpenAPI 3.1", schema: z.record(z.string(), z.unknown()) },
    handle: () => document ??= openApiDocument(routes),
  });
  const routes: Route[] = [
    ...STATE_ROUTES,
    ...EVENT_ROUTES,
    ...POLICY_ROUTES,
    ...TOKEN_ROUTES,
    ...TRAFFIC_ROUTES,
    ...SESSION_ROUTES,
    describe,
  ];
  return routes;
}
