/**
 * A disk that fills up in the middle of a change: what was refused must not be in force after the next start.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { defaultPolicy } from "../../lib/policy/document.ts";
import { MemoryStore } from "../../lib/store/memory_store.ts";
import { openSqliteStore } from "../../lib/store/sqlite_store.ts";
import { type Store, StoreError } from "../../lib/store/store.ts";
import { agentOf, FirewallRig, OPERATOR } from "../support/firewall_rig.ts";

const FULL = new StoreError("Cannot write to the store: the disk is full, make room on it", "full");

test("a change that the audit log has no room for leaves nothing of itself in the store", () => {
  const folder = mkdtempSync(join(tmpdir(), "netwall-half-"));
  const path = join(folder, "netwall.db");
  const stores: Store[] = [new MemoryStore(), openSqliteStore(path)];
  const model = { edges: [] };
  for (const store of stores) {
    const rig = new FirewallRig(defaultPolicy("prevent"), store);
    rig.control.apply({ ...defaultPolicy("prevent"), model }, OPERATOR, "good");
    rig.connect(agentOf("web"), "redis", agentOf("redis"));
    const before = [store.policy()?.version, store.state("model"), store.state("staged-policy")];
    const addAudit = store.addAudit.bind(store);
    store.addAudit = () => {
      throw FULL;
    };
    const changes: (() => unknown)[] = [
      () => rig.control.apply({ ...defaultPolicy("alert"), model }, OPERATOR, "opens everything"),
      () => rig.control.setMode("shop/redis", "alert", OPERATOR),
      () => rig.control.rollback(1, OPERATOR),
      () => rig.control.stage(defaultPolicy("alert"), OPERATOR),
      () => rig.control.relearn("shop/redis", OPERATOR),
    ];
    for (const change of changes) {
      expect(change).toThrow("The change was not made");
      expect([store.policy()?.version, store.state("model"), store.state("staged-policy")]).toEqual(before);
      expect(store.policy()?.document.spec.defaultMode).toBe("prevent");
      expect(rig.control.policy().version).toBe(before[0] as number);
    }
    expect(changes).toHaveLength(5);
    store.addAudit = addAudit;
    expect(rig.control.setMode("shop/redis", "alert", OPERATOR).version.version).toBe(3);
    store.close();
  }
  const again = openSqliteStore(path);
  expect(again.policy()?.version).toBe(3);
  again.close();
  rmSync(folder, { recursive: true });
});
