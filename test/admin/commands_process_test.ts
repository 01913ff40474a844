/**
 * Tests of the commands as processes: signals, closed pipes and standard input, on both runtimes.
 *
 * @module
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { parsePolicy, plainPolicy } from "../../lib/policy/policy_yaml.ts";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ADMIN_TOKEN, type FakeAdmin, startFakeAdmin } from "../support/fake_admin.ts";
import { bunBinary, denoBinary, ROOT, useProcesses } from "../support/processes.ts";

const MAIN = join(ROOT, "test", "support", "commands_main.ts");
const RUNTIMES: [string, string[]][] = [
  ["bun", [bunBinary(), MAIN]],
  ["deno", [denoBinary(), "run", "-A", MAIN]],
];
const processes = useProcesses();
const env = { NETWALL_ADMIN_TOKEN: ADMIN_TOKEN };

let admin: FakeAdmin;
beforeEach(async () => {
  admin = await startFakeAdmin();
});
afterEach(() => admin.close());

function event(seq: number): Record<string, unknown> {
  return {
    ...{ id: `e-${seq}`, seq, time: 0, firstTime: 0, count: 1, type: "storeFault", severity: "info" },
    ...{ effect: "alert", verdict: "forwarded", rule: { kind: "implicit" }, message: `number ${seq}` },
  };
}

/** A stream that sends an event, and more of them as long as it is there. */
function streamForever(): void {
  admin.answers.set("GET events", { body: { items: [event(1)] } });
  admin.answers.set("GET stream", (_, outgoing) => {
    outgoing.writeHead(200, { "Content-Type": "text/event-stream" });
    let seq = 1;
    const timer = setInterval(() => {
      seq += 1;
      outgoing.write(`event: event\nid: ${seq}\ndata: ${JSON.stringify(event(seq))}\n\n`);
    }, 10);
    outgoing.on("close", () => clearInterval(timer));
  });
}

test.each(RUNTIMES)("%s: Ctrl-C and SIGTERM end following with 0 and without a word", async (_, command) => {
  streamForever();
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) {
    const child = processes.start([...command, "events", "--follow", "--admin", admin.address], { env });
    await child.waitFor("stdout", /number 3\n/);
    expect([await child.stop(signal), child.stderr()]).toEqual([{ code: 0, signal: null }, ""]);
    expect(child.stdout()).toMatch(/^1970-01-01T00:00:00Z {2}e-1 {3}store fault {2}number 1\n/);
  }
  expect(signals).toHaveLength(2);
});

/** Runs a command into a reader that leaves early, and gives what was read, the exit code, and standard error. */
async function piped(words: readonly string[], reader: string): Promise<[string, string]> {
  const script = `"$@" | ${reader}; echo " \${PIPESTATUS[0]}"`;
  const child = processes.start(["bash", "-c", script, "bash", ...words], { env });
  await child.exit;
  return [child.stdout(), child.stderr()];
}

test.each(RUNTIMES)("%s: a reader that leaves ends a command quietly", async (_, command) => {
  streamForever();
  const follow = await piped(
    [...command, "events", "--follow", "--json", "--admin", admin.address],
    "head -n 2",
  );
  expect(follow[0]).toMatch(/^\{.*"number 1"\}\n\{.*"number 2"\}\n 0\n$/);
  expect(follow[1]).toBe("");
  admin.answers.set("GET policy.yaml", { type: "application/yaml", body: "x: y\n".repeat(400_000) });
  const whole = await piped([...command, "policy", "export", "--admin", admin.address], "head -c 5");
  expect(whole).toEqual(["x: y\n 0\n", ""]);
});

test.each(RUNTIMES)("%s: a policy goes through pipes whole", async (_, command) => {
  // Over what a pipe holds at once.
  const policy = "apiVersion: netwall/v1\nkind: Policy\n" + "# a comment\n".repeat(20_000);
  admin.answers.set("GET policy.yaml", { type: "application/yaml", body: policy });
  admin.answers.set("POST policy/diff", { body: { version: 1, lines: [] } });
  const file = join(processes.folder("policy"), "policy.yaml");
  const script = '"$@" export --admin "$ADMIN" > "$FILE" && "$@" diff - --admin "$ADMIN" < "$FILE"';
  const child = processes.start(["bash", "-c", script, "bash", ...command, "policy"], {
    env: { ...env, ADMIN: admin.address, FILE: file },
  });
  expect([await child.exit, child.stderr()]).toEqual([{ code: 0, signal: null }, ""]);
  expect(child.stdout()).toBe("Nothing to change: version 1 is in force and the same\n");
  expect(readFileSync(file, "utf8") === policy).toBe(true);
  expect(JSON.parse(admin.asked.at(-1)!.body)).toEqual(plainPolicy(parsePolicy(policy)));
  const broken = processes.start([...command, "policy", "diff", "-", "--admin", admin.address], {
    ...{ env, input: "spec: 1\n" },
  });
  expect((await broken.exit).code).toBe(2);
  expect(broken.stderr()).toMatch(
    /^netwall-gateway: The policy has faults\nstandard input.*: /,
  );
});

test.each(RUNTIMES)("%s: an export is whole at a pipe, and fails on a full disk", async (_, command) => {
  const text = `${"- a line of a policy\n".repeat(30_000)}# the end\n`;
  admin.answers.set("GET policy.yaml", (_, outgoing) => {
    outgoing.writeHead(200, { "Content-Type": "application/yaml" });
    outgoing.end(text);
  });
  const line = [...command, "policy", "export", "--admin", admin.address].join(" ");
  // The reader begins late, as one behind a network may: by then more waits than a pipe holds.
  const late = processes.start(["sh", "-c", `${line} | (sleep 0.3; wc -c)`], { env });
  expect((await late.exit).code).toBe(0);
  expect(Number(late.stdout())).toBe(text.length);
  const full = processes.start(["sh", "-c", `${line} > /dev/full`], { env });
  expect((await full.exit).code).toBe(1);
  expect(full.stderr()).toContain("Cannot write to standard output: the disk is full");
});
