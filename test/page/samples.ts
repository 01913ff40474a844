/**
 * Edges and events for the tests of the page.
 *
 * @module
 */
import type { NetwallEvent } from "../../lib/events/event.ts";
import type { EdgeRecord } from "../../lib/policy/record.ts";

/** An edge within the wall. */
export function edgeRecord(): EdgeRecord {
  return edgeOf({});
}

export function edgeOf(patch: Partial<EdgeRecord>): EdgeRecord {
  return {
    ...{
      id: "e1",
      direction: "east-west",
      protocol: "http",
      source: "shop/front-end",
      destination: "shop/user",
    },
    ...{ service: "user", host: "", port: 0, state: "learned", firstSeenMs: 1, lastSeenMs: 2, count: 3 },
    ...{
      droppedCount: 0,
      failedCount: 0,
      inBytes: 4,
      outBytes: 5,
      lastVerdict: "forwarded",
      lastRule: "learned",
    },
    seq: 1,
    ...patch,
  };
}

/** An event of a request within the wall. */
export function eventOf(patch: Partial<NetwallEvent> = {}): NetwallEvent {
  return {
    ...{ id: "00000000001", seq: 1, time: 1_000, firstTime: 1_000, count: 1, type: "unexpectedRequest" },
    ...{ severity: "warning", direction: "east-west", protocol: "http", mode: "alert", effect: "alert" },
    ...{ verdict: "audited", rule: { kind: "implicit" }, message: "It asked for something" },
    deviation: { kind: "route", observed: "GET /users/{int}/keys", expected: "GET /users/{int}" },
    source: {
      ...{
        kind: "workload",
        name: "shop/front-end",
        namespace: "shop",
        image: "front-end:1.0",
        agent: "front-end-1",
      },
      ...{ claimedContainerId: "0123456789abcdef", claimedContainerName: "web-1", claimedHostname: "node-7" },
    },
    destination: {
      ...{ kind: "workload", name: "shop/user", namespace: "shop", image: "user:1.0", agent: "user-1" },
      ...{ service: "user", port: 8080, claimedHostname: "node-8" },
    },
    http: {
      method: "GET",
      host: "user.netwall.internal",
      path: "/users/7/keys",
      requestId: "r1",
      contentType: "",
    },
    ...patch,
  } as NetwallEvent;
}
