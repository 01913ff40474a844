/**
 * A container that fills the model of another while it learns, so that it is never promoted and stays open to all.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { SaturationWatch } from "../../lib/gateway/saturation.ts";
import type { Flow } from "../../lib/policy/flow.ts";
import { agentOf, FirewallRig, OPERATOR } from "../support/firewall_rig.ts";

const evil = agentOf("evil");
const user = agentOf("user", ["user"]);

function ask(method: string): Flow {
  return {
    ...{ direction: "east-west", protocol: "http", source: { kind: "group", group: evil.group } },
    destination: { kind: "service", group: user.group, service: "user" },
    http: { method, host: "user", path: "/", contentType: "" },
  };
}

test("an overfull model is an event for both ends, once, until somebody sets a mode", () => {
  const rig = new FirewallRig();
  const watch = new SaturationWatch(rig.firewall, rig.learner);
  watch.look(rig.nowMs);
  expect(rig.told).toEqual([]);
  const flood = (agent: string): void => {
    for (let at = 0; at < 20; at += 1) rig.learner.observe(ask(`M${at}`), evil.group.id, agent, true);
    watch.look(rig.nowMs += 60_000);
  };
  flood("agent:evil-1");
  // One container alone makes no model overfull.
  expect(rig.told).toEqual([]);
  flood("agent:evil-2");
  for (let look = 0; look < 3; look += 1) watch.look(rig.nowMs += 60_000);
  const told = rig.told.filter(({ type }) => type === "modelSaturated");
  expect(told.map(({ source, count }) => `${source?.name} ${count}`).sort()).toEqual([
    "shop/evil 1",
    "shop/user 1",
  ]);
  expect(told[0]!.message).toMatch(/overfull: user has 8 methods of one route from shop\/evil/);
  rig.control.setMode("shop/user", "alert", OPERATOR);
  rig.control.relearn("shop/evil", OPERATOR);
  watch.look(rig.nowMs += 60_000);
  expect(rig.told.filter(({ type }) => type === "modelSaturated")).toHaveLength(2);
});
