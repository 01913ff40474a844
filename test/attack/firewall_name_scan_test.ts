/**
 * A compromised container that tries names of services, to learn what there is without an event.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { Operator, startFirewall } from "../support/firewall_wall.ts";
import { useProcesses } from "../support/processes.ts";
import { mintCaller, reachDoor, TcpEnd } from "../e2e/tcp_wall.ts";
import { startAgent, TEST_MS_MAX } from "../e2e/wall.ts";
import { SOURCE_KEYS_MAX } from "../../lib/events/event_log.ts";
import { agentOf, FirewallRig } from "../support/firewall_rig.ts";

const processes = useProcesses();

test("each name is told, up to the share of the source, and every try counts", () => {
  const rig = new FirewallRig();
  const front = agentOf("front-end");
  const names = SOURCE_KEYS_MAX + 100;
  for (let at = 0; at < names; at += 1) rig.firewall.unserved(front, `db-${at}\u001b[2J`, "implicit");
  rig.firewall.unserved(front, "x".repeat(100_000), "token");
  const { told } = rig;
  expect(told.length).toBeLessThanOrEqual(SOURCE_KEYS_MAX + 2);
  expect(told.reduce((sum, { count }) => sum + count, 0)).toBe(names + 1);
  expect(told[0]).toMatchObject({
    ...{ type: "unexpectedConnection", verdict: "dropped", source: { name: "shop/front-end" } },
    deviation: { kind: "edge" },
  });
});

test("a call to a service that is not there is an event, of the container that made it", async () => {
  const gateway = await startFirewall(processes, "bun");
  const operator = new Operator(gateway);
  const agent = await startAgent(processes, "deno", gateway, {
    token: await mintCaller(gateway.data, { name: "front-1", serve: [], reach: ["*"] }),
    args: ["--reach", "vault=127.0.0.1:0"],
  });
  const program = await TcpEnd.connect(await reachDoor(agent, "vault"));
  await program.gone();
  program.destroy();
  const event = await operator.event("the name", ({ deviation }) => deviation?.observed === "vault");
  expect(event).toMatchObject({
    verdict: "dropped",
    rule: { kind: "implicit" },
    source: { agent: "front-1" },
  });
}, TEST_MS_MAX);
