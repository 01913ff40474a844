/**
 * What the log and the metrics say of links and of the walls of their agents.
 *
 * @module
 */
import { expect, test } from "bun:test";
import type { AdmissionEvent } from "../../lib/gateway/admission.ts";
import { recordLink } from "../../lib/gateway/link_record.ts";
import { createLogger } from "../../lib/log.ts";
import { GatewayMetrics } from "../../lib/metrics/gateway_metrics.ts";
import type { WallClaim } from "../../lib/routing/registry.ts";
import { madeAttachment } from "../support/attachment.ts";

const attachment = madeAttachment({ link: { peer: "192.0.2.1:5" } }, {
  ...{ agent: "box", tokenId: "secret-id", services: ["web", "db"], tcp: new Set(["db"]) },
  claimed: { hostname: "h\n1", level: "error" },
});

/** The one line of an event, and the metrics after it. */
async function record(
  event: AdmissionEvent,
): Promise<{ line: Record<string, unknown> | undefined; metrics: string }> {
  const lines: string[] = [];
  const write = (line: string): void => void lines.push(line);
  const log = createLogger({ level: "debug", format: "json", isTerminal: false, write });
  const metrics = new GatewayMetrics(() => ({
    ...{ links: 0, streams: 0, heldBytes: 0, creditBytes: 0, shedTotal: 0, roundTrips: [], walls: [] },
  }));
  recordLink({ log, metrics }, event);
  expect(lines.length).toBeLessThanOrEqual(1);
  expect(lines.join("")).not.toContain("secret-id");
  const line = lines[0] === undefined ? undefined : JSON.parse(lines[0]);
  delete line?.time;
  return { line, metrics: await metrics.text() };
}

const wall = (state: WallClaim["state"], change: Partial<WallClaim> = {}): WallClaim => ({
  ...{ state, listeners: 1, exposed: [], faults: [] },
  ...change,
});

function told(claim: WallClaim, before: WallClaim | undefined): AdmissionEvent {
  return { kind: "wall", attachment: { ...attachment, wall: { claim, atMs: 0 } }, before };
}

test("a link is told with what it serves and claims, made or made again", async () => {
  for (const again of [false, true]) {
    const { line, metrics } = await record({ kind: "linked", attachment, again });
    expect(line).toEqual({
      ...{
        level: "info",
        message: "linked",
        agent: "box",
        group: attachment.group.id,
        services: "web,db",
        peer: "192.0.2.1:5",
      },
      // What an agent claims never takes the place of what the gateway says.
      ...{ hostname: "h\n1", _level: "error" },
    });
    expect(metrics).toContain(`netwall_link_events_total{event="${again ? "remade" : "made"}"} 1`);
  }
});

test("the end of a link and a refusal are told with their reason", async () => {
  const end = { code: "keepalive" as const, message: "No answer", remote: false };
  const lost = await record({ kind: "lost", agent: "box", peer: "p", end });
  expect(lost.line).toEqual({
    ...{
      level: "info",
      message: "link ended",
      agent: "box",
      peer: "p",
      code: "keepalive",
      reason: "No answer",
    },
  });
  expect(lost.metrics).toContain('netwall_link_events_total{event="lost"} 1');
  const refused = await record({ kind: "refused", peer: "p", code: "expired", message: "Too old" });
  expect(refused.line).toEqual({
    ...{ level: "warn", message: "link refused", peer: "p", code: "expired", reason: "Too old" },
  });
  expect(refused.metrics).toContain('netwall_link_events_total{event="refused"} 1');
});

test("a wall is told when it is broken, not known, or whole again, and counts as no event of a link", async () => {
  const exposed = ["tcp 0.0.0.0:80 nginx(1)", "udp [::]:53 unknown"];
  const cases: [AdmissionEvent, Record<string, unknown> | undefined][] = [
    [told(wall("broken", { exposed }), undefined), {
      ...{ level: "warn", message: "the wall of an agent is broken", agent: "box" },
      exposed: "tcp 0.0.0.0:80 nginx(1), udp [::]:53 unknown",
    }],
    [told(wall("broken", { exposed }), wall("whole")), { level: "warn", agent: "box" }],
    [told(wall("unknown", { faults: ["/proc cannot be read"] }), wall("whole")), {
      ...{ level: "warn", message: "the wall of an agent is not known", faults: "/proc cannot be read" },
    }],
    // A wall that was whole from the start is as it should be.
    [told(wall("whole"), undefined), undefined],
    [told(wall("whole"), wall("broken")), {
      ...{ level: "info", message: "the wall of an agent is whole again", agent: "box" },
    }],
    [told(wall("whole"), wall("unknown")), { message: "the wall of an agent is whole again" }],
  ];
  for (const [event, expected] of cases) {
    const { line, metrics } = await record(event);
    if (expected === undefined) expect(line).toBeUndefined();
    else expect(line).toMatchObject(expected);
    expect(metrics).not.toMatch(/netwall_link_events_total\{[^}]*\} [1-9]/);
  }
  expect(cases).toHaveLength(6);
});
