/**
 * The commands against the admin API itself, over a real listener: both sides have the same idea of every route.
 *
 * @module
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { AdminClient } from "../../lib/admin/client.ts";
import { type EventsOutput, showEvents } from "../../lib/admin/events_command.ts";
import { parseAdminAddress } from "../../lib/config/admin_address.ts";
import type { NetwallEvent } from "../../lib/events/event.ts";
import { listenAdmin, type Served } from "../../lib/gateway/admin_listener.ts";
import { parsePolicy } from "../../lib/policy/policy_yaml.ts";
import { type Outcome, runCommand } from "../support/run_command.ts";
import { type ApiRig, apiRig } from "./api_rig.ts";
import { eventOf, GROUP } from "./fake_firewall.ts";

let rig: ApiRig;
let listener: Served;
beforeEach(async () => {
  rig = await apiRig();
  listener = await listenAdmin(rig.app, { host: "127.0.0.1", port: 0 });
});
afterEach(() => {
  listener.close();
  rig.close();
});

function run(token: string, ...argv: string[]): Promise<Outcome> {
  return runCommand([...argv, "--admin", listener.address], { NETWALL_ADMIN_TOKEN: token });
}

test("an operator goes the whole way: export, edit, diff, simulate, stage, apply, roll back, set a mode", async () => {
  const file = join(rig.dataDir, "policy.yaml");
  const exported = await run(rig.operator, "policy", "export", "--output", file);
  expect(exported).toMatchObject({ code: 0, err: "" });
  const same = await run(rig.operator, "policy", "diff", file);
  expect([same.code, same.err]).toEqual([0, ""]);
  const text = (await run(rig.viewer, "policy", "export")).out;
  expect(parsePolicy(text).spec.defaultMode).toBe("learn");

  writeFileSync(
    file,
    "apiVersion: netwall/v1\nkind: Policy\nspec:\n  defaultMode: alert\n  rules:\n    - id: no-evil\n" +
      "      destination: { host: evil.example }\n      effect: prevent\n",
  );
  const diff = await run(rig.operator, "policy", "diff", file);
  expect([diff.code, diff.err]).toEqual([0, ""]);
  expect(diff.out).toMatch(/no-evil/);
  expect(diff.out).toMatch(/alert/);
  const simulated = await run(rig.operator, "policy", "simulate", file, "--since", "1h");
  expect(simulated.code).toBe(0);
  expect(simulated.out).toMatch(
    /^Judged 7 .*: 0 are dropped now, 2 would be\naudited → dropped {2}2× .*\n {4}such as GET \/x\n$/,
  );
  expect((await run(rig.operator, "policy", "apply", file, "--stage")).code).toBe(0);
  expect(rig.firewall.staged()?.spec.rules).toHaveLength(1);
  expect((await run(rig.operator, "policy", "unstage")).code).toBe(0);
  expect(rig.firewall.staged()).toBeUndefined();

  const stale = await run(rig.operator, "policy", "apply", file, "--if-version", "9");
  expect([stale.code, stale.out]).toEqual([1, ""]);
  expect(stale.err).toMatch(/said no \(412\): Version 1 is in force/);
  const applied = await run(
    rig.operator,
    "policy",
    "apply",
    file,
    "--comment",
    "no ü evil",
    "--if-version",
    "1",
  );
  expect(applied).toMatchObject({ code: 0, err: "" });
  expect(applied.out).toMatch(/^Applied: version 2 is in force, 1 open .* was cut\n$/);
  expect(rig.firewall.policy().document.spec.rules[0]?.id).toBe("no-evil");
  expect((await run(rig.operator, "policy", "diff", file)).out).toMatch(/^Nothing to change: version 2 /);
  expect((await run(rig.operator, "policy", "rollback", "1")).out).toMatch(/^Rolled back: version 3 /);
  expect((await run(rig.operator, "policy", "rollback", "77")).err).toMatch(/said no \(404\)/);
  expect((await run(rig.operator, "policy", "mode", GROUP, "prevent", "--direction", "egress")).out)
    .toMatch(/^Set: version 4 /);
  const versions = (await run(rig.operator, "policy", "versions", "--limit", "3")).out.trimEnd().split("\n");
  expect(versions.map((line) => line.split(/ {2,}/)[0])).toEqual(["VERSION", "4", "3", "2"]);
  expect(versions[3]).toMatch(/no ü evil$/);
  expect((await run(rig.operator, "groups")).out).toContain(GROUP);
});

test("a viewer may look and change nothing, and a revoked token may do neither", async () => {
  const file = join(rig.dataDir, "policy.yaml");
  writeFileSync(file, (await run(rig.viewer, "policy", "export")).out);
  for (const argv of [["groups"], ["events"], ["policy", "versions"]]) {
    expect([argv, (await run(rig.viewer, ...argv)).code]).toEqual([argv, 0]);
  }
  const changes = [["apply", file], ["apply", file, "--stage"], ["rollback", "1"], ["mode", GROUP, "learn"]];
  for (const argv of changes) {
    const { code, out, err } = await run(rig.viewer, "policy", ...argv);
    expect([argv, code, out]).toEqual([argv, 3, ""]);
    expect(err).toMatch(/said no \(403\): .*operator/);
  }
  expect(changes).toHaveLength(4);
  expect(rig.firewall.policy().version).toBe(1);
  rig.revoked.add(rig.viewerId);
  expect((await run(rig.viewer, "groups")).code).toBe(3);
});

test("events are filtered as the commands ask for, and each filter is one that the gateway knows", async () => {
  const change = { type: "policyRule", effect: "prevent", verdict: "dropped" } as const;
  rig.firewall.store.putEvents([eventOf(1), eventOf(2, { ...change, count: 4 }), eventOf(3)]);
  const argv = [
    ...[
      "--type",
      "policyRule",
      "--namespace",
      "shop",
      "--image",
      "ghcr.io/acme/web:1",
      "--service",
      "user-db",
    ],
    ...[
      "--source",
      GROUP,
      "--effect",
      "prevent",
      "--verdict",
      "dropped",
      "--since",
      "3650d",
      "--limit",
      "1000",
    ],
  ];
  // These events are of 1970.
  const old = await run(rig.viewer, "events", ...argv);
  expect([old.code, old.out]).toEqual([0, ""]);
  const found = await run(
    rig.viewer,
    "events",
    ...argv.filter((word) => word !== "--since" && word !== "3650d"),
  );
  expect([found.code, found.err, found.out.split("\n").length]).toEqual([0, "", 2]);
  expect(found.out).toMatch(/^1970-01-01T00:00:02Z {2}\S+ +prevent +4× {2}/);
  const all = (await run(rig.viewer, "events", "--json")).out.trimEnd().split("\n");
  expect(all.map((line) => (JSON.parse(line) as NetwallEvent).seq)).toEqual([1, 2, 3]);
});

test("following prints what is stored, then what is noticed, also across a cut", async () => {
  const { firewall } = rig;
  const tell = (event: NetwallEvent): void => {
    firewall.store.putEvents([event]);
    firewall.emit({ kind: "event", event });
  };
  firewall.store.putEvents([eventOf(1), eventOf(2)]);
  const seqs: number[] = [];
  let wake = (): void => {};
  const stop = new AbortController();
  const output: EventsOutput = {
    ...{ colors: false, stop: stop.signal, nowMs: Date.now, note: () => {} },
    write(text): Promise<void> {
      for (const line of text.split("\n").filter(Boolean)) seqs.push((JSON.parse(line) as NetwallEvent).seq);
      wake();
      return Promise.resolve();
    },
  };
  const until = async (count: number): Promise<void> => {
    while (seqs.length < count) await new Promise<void>((resolve) => wake = resolve);
  };
  const client = new AdminClient({ place: parseAdminAddress(listener.address), token: rig.viewer });
  const options = { filter: {}, limit: 10, follow: true, long: false, json: true };
  const ended = showEvents(client, options, output, { firstMs: 1, lastMs: 10 });
  await until(2);
  for (const seq of [3, 4]) tell(eventOf(seq));
  await until(4);
  const port = Number(listener.address.split(":").at(-1));
  listener.close();
  for (const seq of [5, 6]) tell(eventOf(seq));
  listener = await listenAdmin(rig.app, { host: "127.0.0.1", port });
  await until(6);
  tell(eventOf(7));
  await until(7);
  stop.abort();
  await ended;
  expect(seqs).toEqual([1, 2, 3, 4, 5, 6, 7]);
});
