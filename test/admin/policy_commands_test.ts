/**
 * Tests of the commands about the policy and the groups, from the words of the command line to the exit code,
 * against an admin API that says what the test wants.
 *
 * @module
 */
import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import { parsePolicy, plainPolicy } from "../../lib/policy/policy_yaml.ts";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdminClientError } from "../../lib/admin/client_error.ts";
import { selectCommand } from "../../lib/cli/arguments.ts";
import { readPolicyFile } from "../../lib/admin/policy_file.ts";
import { GATEWAY_PROGRAM } from "../../lib/gateway/program.ts";
import { POLICY_BYTES_MAX } from "../../lib/policy/document.ts";
import { ADMIN_TOKEN, type FakeAdmin, problem, startFakeAdmin } from "../support/fake_admin.ts";
import { type Outcome, runCommand } from "../support/run_command.ts";

const dir = mkdtempSync(join(tmpdir(), "netwall-policy-commands-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const POLICY = "apiVersion: netwall/v1\nkind: Policy\nspec:\n  defaultMode: alert\n";
/** It, as it is sent. */
const SENT = JSON.stringify(plainPolicy(parsePolicy(POLICY)));
const FILE = join(dir, "policy.yaml");
writeFileSync(FILE, POLICY);

let admin: FakeAdmin;
beforeEach(async () => {
  admin = await startFakeAdmin();
});
afterEach(() => admin.close());

function run(...argv: string[]): Promise<Outcome> {
  return runCommand([...argv, "--admin", admin.address], { NETWALL_ADMIN_TOKEN: ADMIN_TOKEN });
}

function lastAsked(): { method: string; url: string; body: string } {
  const { method, url, body } = admin.asked.at(-1)!;
  return { method, url: url.replace("/api/v1/", ""), body };
}

test("policy export prints what the gateway sends, or writes it to a file", async () => {
  admin.answers.set("GET policy.yaml", { type: "application/yaml", body: POLICY });
  expect(await run("policy", "export")).toEqual({ code: 0, out: POLICY, err: "" });
  const output = join(dir, "out.yaml");
  expect(await run("policy", "export", "--output", output)).toEqual({
    code: 0,
    out: `Written to ${output}\n`,
    err: "",
  });
  expect(readFileSync(output, "utf8")).toBe(POLICY);
  await run("policy", "export", "--no-model");
  expect(lastAsked().url).toBe("policy.yaml?model=false");
  const nowhere = await run("policy", "export", "--output", join(dir, "no", "such"));
  expect(nowhere).toMatchObject({ code: 1, out: "" });
  expect(nowhere.err).toMatch(
    /^netwall-gateway: Cannot write .*: there is no such file or directory, name another/,
  );
});

test("an export that fails leaves the file as it was", async () => {
  const output = join(dir, "kept.yaml");
  writeFileSync(output, "kept");
  admin.answers.set("GET policy.yaml", problem(503, "The store is away"));
  expect((await run("policy", "export", "--output", output)).code).toBe(1);
  expect(readFileSync(output, "utf8")).toBe("kept");
});

test("policy diff prints the lines, or says that there is nothing to change", async () => {
  const lines = ["spec.rules", "  + rule whitelist\u001b[2J", "  - rule old"];
  admin.answers.set("POST policy/diff", { body: { version: 7, lines } });
  expect(await run("policy", "diff", FILE)).toEqual({
    code: 0,
    out: "spec.rules\n  + rule whitelist\\u001b[2J\n  - rule old\n",
    err: "",
  });
  expect(lastAsked()).toEqual({ method: "POST", url: "policy/diff", body: SENT });
  expect(admin.asked[0]!.headers["content-type"]).toBe("application/json");
  admin.answers.set("POST policy/diff", { body: { version: 7, lines: [] } });
  expect(await run("policy", "diff", FILE)).toEqual({
    code: 0,
    out: "Nothing to change: version 7 is in force and the same\n",
    err: "",
  });
  const whole = { version: 7, lines, warnings: [], changes: [{ part: "rules" }] };
  admin.answers.set("POST policy/diff", { body: whole });
  expect(JSON.parse((await run("policy", "diff", FILE, "--json")).out)).toEqual(whole);
});

test("warnings go to standard error, and cannot act on a terminal", async () => {
  const warnings = ["the rule a can never match", "no group \u001b[2J is there\n"];
  const err = "warning: the rule a can never match\nwarning: no group \\u001b[2J is there\\n\n";
  const report = { judged: 0, sinceMs: 0, droppedNow: 0, droppedThen: 0, unjudged: 0, changes: [] };
  admin.answers.set("POST policy/diff", { body: { version: 7, lines: [], warnings } });
  admin.answers.set("POST policy/simulate", { body: { ...report, warnings } });
  const applied = { body: { version: 8, cut: 0, warnings } };
  const changes = ["PUT policy", "PUT groups/mode", "POST groups/relearn", "POST policy/versions/1/rollback"];
  for (const change of changes) admin.answers.set(change, applied);
  const commands = [
    ["policy", "diff", FILE],
    ["policy", "diff", FILE, "--json"],
    ["policy", "simulate", FILE],
    ["policy", "simulate", FILE, "--json"],
    ["policy", "apply", FILE],
    ["policy", "mode", "shop/web", "prevent"],
    ["groups", "relearn", "shop/web"],
    ["policy", "rollback", "1"],
  ];
  for (const argv of commands) {
    const outcome = await run(...argv);
    expect([argv, outcome.code, outcome.err]).toEqual([argv, 0, err]);
    expect(outcome.out).not.toContain("warning:");
  }
  expect(commands).toHaveLength(8);
});

test("who changed what is a table, and JSON for programs", async () => {
  const item = { id: 9, atMs: Date.UTC(2026, 0, 2), by: "alice", role: "operator", action: "policy.apply" };
  const body = { items: [{ ...item, detail: "version 7\u001b[2J" }, { ...item, detail: "" }], next: "9" };
  admin.answers.set("GET audit", { body });
  const { code, out } = await run("policy", "audit", "--limit", "2");
  expect([code, lastAsked().url]).toEqual([0, "audit?limit=2"]);
  expect(out.split("\n").map((line) => line.replace(/ {2,}/g, " | "))).toEqual([
    "TIME | BY | ROLE | ACTION | DETAIL",
    "2026-01-02T00:00:00Z | alice | operator | policy.apply | version 7\\u001b[2J",
    "2026-01-02T00:00:00Z | alice | operator | policy.apply | -",
    "",
  ]);
  const json = (await run("policy", "audit", "--json")).out;
  expect(JSON.parse(json)).toEqual(body);
  expect(json).not.toContain("\u001b");
});

test("bans are listed with the key that lifts them", async () => {
  const ban = {
    key: "5d2f/0c6b",
    source: "192.0.2.1",
    service: "web",
    untilMs: Date.UTC(2026, 0, 2),
    reason: "r",
  };
  admin.answers.set("GET bans", { body: { items: [ban] } });
  expect((await run("bans")).out.split("\n").map((line) => line.replace(/ {2,}/g, " | "))).toEqual([
    "KEY | SOURCE | SERVICE | UNTIL | WHY",
    "5d2f/0c6b | 192.0.2.1 | web | 2026-01-02T00:00:00Z | r",
    "",
  ]);
  expect(JSON.parse((await run("bans", "--json")).out)).toEqual({ items: [ban] });
  admin.answers.set("GET bans", { body: { items: [] } });
  expect((await run("bans")).out).toBe("Nobody is banned now\n");
  admin.answers.set("DELETE bans/5d2f%2F0c6b", { status: 204, body: "" });
  expect(await run("bans", "lift", "5d2f/0c6b")).toEqual({
    ...{ code: 0, err: "" },
    out: "Lifted: 5d2f/0c6b is let in again\n",
  });
  expect((await run("bans", "lift", "other")).code).toBe(1);
  expect((await run("bans", "lift")).code).toBe(2);
});

test("an event is shown whole, and allowed, by the id that events prints", async () => {
  const event = {
    ...{ id: "0000000001a", seq: 50, time: 1_000, firstTime: 0, count: 2, type: "unexpectedConnection" },
    ...{ severity: "critical", effect: "alert", verdict: "audited", rule: { kind: "implicit" } },
    source: { kind: "workload", name: "shop/web", claimedHostname: "box\u001b[2J\u202e" },
    message: "a: message",
  };
  admin.answers.set("GET events/0000000001a", { body: event });
  const { code, out, err } = await run("events", "show", "1a");
  expect([code, err]).toEqual([0, ""]);
  expect(out.split("\n").slice(0, 4)).toEqual([
    'id: "1a"',
    'time: "1970-01-01T00:00:01.000Z"',
    'firstTime: "1970-01-01T00:00:00.000Z"',
    "count: 2",
  ]);
  expect(out).toContain('\n  claimedHostname: "box\\u001b\\u005b2J\\u202e"\n');
  expect(JSON.parse((await run("events", "show", "0000000001a", "--json")).out)).toEqual(event);
  admin.answers.set("POST events/0000000001a/allow", { status: 201, body: { rule: { id: "allow-web-db" } } });
  expect(await run("events", "allow", "1a")).toEqual({
    ...{ code: 0, err: "" },
    out: "Allowed: the rule allow-web-db stands in front of all others\n" +
      "See it with: netwall-gateway policy export --no-model\n",
  });
  for (const argv of [["events", "show"], ["events", "allow", "a b"], ["events", "allow", "1a", "1b"]]) {
    expect((await run(...argv)).code).toBe(2);
  }
});

test("policy apply sends the file, the comment and the version that must be in force", async () => {
  admin.answers.set("PUT policy", { body: { version: 8, cut: 2 } });
  const out = "Applied: version 8 is in force, 2 open exchanges and connections were cut\n";
  expect(await run("policy", "apply", FILE, "--comment", "for payment", "--if-version", "7"))
    .toEqual({ code: 0, out, err: "" });
  expect(lastAsked()).toEqual({ method: "PUT", url: "policy?comment=for%20payment", body: SENT });
  expect(admin.asked[0]!.headers["if-match"]).toBe('"7"');
  admin.answers.set("PUT policy", { body: { version: 9, cut: 0 } });
  expect((await run("policy", "apply", FILE)).out).toBe("Applied: version 9 is in force\n");
  expect(lastAsked().url).toBe("policy");
  expect(admin.asked[1]!.headers["if-match"]).toBeUndefined();
  admin.answers.set("PUT policy", problem(412, "Version 9 is in force by now"));
  expect(await run("policy", "apply", FILE, "--if-version", "7")).toEqual({
    code: 1,
    out: "",
    err: `netwall-gateway: The gateway at ${admin.address} said no (412): Version 9 is in force by now\n`,
  });
});

test("policy apply --stage stages and takes no comment, and unstage takes it away", async () => {
  admin.answers.set("PUT policy/staged", { status: 204, body: "" });
  admin.answers.set("DELETE policy/staged", { status: 204, body: "" });
  const staged = await run("policy", "apply", FILE, "--stage");
  expect(staged).toMatchObject({ code: 0, err: "" });
  expect(staged.out).toMatch(/^Staged: .*nothing is blocked by it\n$/);
  expect(lastAsked()).toEqual({ method: "PUT", url: "policy/staged", body: SENT });
  expect(await run("policy", "unstage")).toEqual({ code: 0, out: "No policy is staged any more\n", err: "" });
  expect((await run("policy", "apply", FILE, "--stage", "--comment", "x")).code).toBe(2);
  expect((await run("policy", "apply", FILE, "--stage", "--if-version", "1")).code).toBe(2);
  expect(admin.asked).toHaveLength(2);
});

test("policy simulate shows what would change, with examples that cannot act on a terminal", async () => {
  const report = {
    judged: 1200,
    sinceMs: Date.UTC(2026, 0, 1),
    droppedNow: 1,
    droppedThen: 31,
    unjudged: 0,
    changes: [{
      ...{ direction: "east-west", source: "shop/front-end", destination: "shop/redis user-db" },
      ...{ from: "audited", to: "dropped", fromRule: "implicit", toRule: "no-db", count: 30 },
      examples: ["GET /users/7", "GET /\u001b]0;x\u0007"],
    }],
  };
  admin.answers.set("POST policy/simulate", { body: report });
  const { code, out, err } = await run("policy", "simulate", FILE, "--since", "7d");
  expect([code, err]).toEqual([0, ""]);
  expect(out.split("\n")).toEqual([
    "Judged 1200 requests and connections since 2026-01-01T00:00:00Z: 1 are dropped now, 31 would be",
    "audited → dropped  30×  east-west  shop/front-end → shop/redis user-db  (implicit → no-db)",
    "    such as GET /users/7",
    "    such as GET /\\u001b]0;x\\u0007",
    "",
  ]);
  const since = new URL(`http://x/${lastAsked().url}`).searchParams.get("since")!;
  const backMs = Date.now() - Date.parse(since);
  expect(backMs).toBeGreaterThanOrEqual(7 * 86_400_000);
  expect(backMs).toBeLessThan(7 * 86_400_000 + 60_000);
  admin.answers.set("POST policy/simulate", { body: { ...report, changes: [] } });
  expect((await run("policy", "simulate", FILE)).out).toMatch(/\nNothing would be judged otherwise\n$/);
  admin.answers.set("POST policy/simulate", { body: { ...report, judged: 0, changes: [] } });
  expect((await run("policy", "simulate", FILE)).out).toMatch(/^No flow is stored since .*--since/);
});

test("policy versions is a table, policy rollback names the new version", async () => {
  const items = [
    { version: 2, atMs: Date.UTC(2026, 0, 2), by: "alice\u009b1m", comment: "x".repeat(300) },
    { version: 1, atMs: Date.UTC(2026, 0, 1), by: "gateway", comment: "" },
  ];
  admin.answers.set("GET policy/versions", { body: { items, next: "1" } });
  const { code, out } = await run("policy", "versions", "--limit", "2");
  const lines = out.split("\n");
  expect(code).toBe(0);
  expect(lastAsked().url).toBe("policy/versions?limit=2");
  expect(lines[0]).toMatch(/^VERSION {2}TIME +BY +COMMENT$/);
  expect(lines[1]).toMatch(/^2 +2026-01-02T00:00:00Z {2}alice\\u009b1m {2}x{120}…$/);
  expect(lines[2]).toMatch(/^1 +2026-01-01T00:00:00Z {2}gateway +-$/);
  admin.answers.set("POST policy/versions/1/rollback", { body: { version: 3, cut: 1 } });
  expect((await run("policy", "rollback", "1")).out)
    .toBe("Rolled back: version 3 is in force, 1 open exchange or connection was cut\n");
  expect(lastAsked()).toEqual({ method: "POST", url: "policy/versions/1/rollback", body: "" });
  for (const word of ["0", "-1", "1.5", "x", "1/../2"]) {
    expect((await run("policy", "rollback", word)).code).toBe(2);
  }
});

test("policy mode names the group in the body, as images hold slashes", async () => {
  admin.answers.set("PUT groups/mode", { body: { version: 4, cut: 0 } });
  const image = "shop/ghcr.io:5000/acme/user-db";
  expect(await run("policy", "mode", image, "prevent")).toEqual({
    code: 0,
    out: "Set: version 4 is in force\n",
    err: "",
  });
  expect(JSON.parse(lastAsked().body)).toEqual({ group: image, mode: "prevent" });
  await run("policy", "mode", "shop/~web-1", "alert", "--direction", "egress");
  expect(JSON.parse(lastAsked().body)).toEqual({ group: "shop/~web-1", mode: "alert", direction: "egress" });
  await run("policy", "mode", "shop/web", "default");
  expect(JSON.parse(lastAsked().body)).toEqual({ group: "shop/web", mode: "default" });
  const wrong = [["shop", "prevent"], ["shop/", "prevent"], ["/x", "prevent"], ["shop/x", "block"], [
    "shop/x",
  ], []];
  for (const words of wrong) expect((await run("policy", "mode", ...words)).code).toBe(2);
  expect(admin.asked).toHaveLength(3);
});

test("groups shows modes and learning of each direction", async () => {
  const mode = (mode: string, origin: string): unknown => ({ mode, origin });
  const learning = { samples: 40, edges: 2, routes: 7, sinceMs: 0, lastNewMs: 0, unseenShare: 0 };
  const group = {
    ...{
      id: "shop/front-end",
      namespace: "shop",
      image: "front-end",
      services: ["front-end"],
      agents: ["f-1"],
    },
    modes: {
      "north-south": mode("alert", "promoted"),
      "east-west": mode("prevent", "manual"),
      egress: mode("learn", "default"),
    },
    learning: [{ direction: "north-south", state: "stable", reasons: ["Nothing new for 2 s"], ...learning }],
  };
  admin.answers.set("GET groups", { body: { items: [group] } });
  const { code, out } = await run("groups");
  expect(code).toBe(0);
  expect(out.split("\n").map((line) => line.replace(/ {2,}/g, " | "))).toEqual([
    "GROUP | AGENTS | DIRECTION | MODE | MODEL | SEEN | EDGES | ROUTES | WHY",
    "shop/front-end | 1 | north-south | alert (promoted) | stable | 40 | 2 | 7 | Nothing new for 2 s",
    " | east-west | prevent | - | - | - | -",
    "",
  ]);
  const rest = (await run("groups", "--all")).out.split("\n").slice(2).map((it) =>
    it.replace(/ {2,}/g, " | ")
  );
  expect(rest).toEqual([
    " | east-west | prevent | - | - | - | -",
    " | egress | learn (default) | - | - | - | -",
    "",
  ]);
  expect(JSON.parse((await run("groups", "--json")).out)).toEqual({ items: [group] });

  const byDefault = mode("learn", "default");
  const quiet = {
    ...{ ...group, id: "shop/quiet", agents: [], learning: [] },
    modes: { "north-south": byDefault, "east-west": byDefault, egress: byDefault },
  };
  const wordy = {
    ...group,
    learning: [{
      ...group.learning[0]!,
      reasons: ["something new 3 minutes ago; wants quiet", "x".repeat(500)],
    }],
  };
  admin.answers.set("GET groups", { body: { items: [wordy, quiet] } });
  const narrow = (await run("groups")).out.trimEnd().split("\n");
  expect(narrow).toHaveLength(4);
  expect(Math.max(...narrow.map((line) => line.length))).toBe(120);
  expect(narrow[1]).toMatch(/something new 3 minutes ago.*…$/);
  expect(narrow[3]).toMatch(/^shop\/quiet +0 +- +learn \(default\) +- +- +- +-$/);
  admin.answers.set("GET groups", { body: { items: [] } });
  expect((await run("groups")).out).toBe("No group is known yet: groups come with their agents\n");
});

test("a broken file ends with 2 and its faults by line, before the gateway is asked", async () => {
  const broken = join(dir, "broken.yaml");
  writeFileSync(
    broken,
    `${POLICY}  rules:\n    - id: one\n      effect: maybe\n    - id: two\n      efect: allow\n`,
  );
  const commands = [["diff"], ["simulate"], ["apply"], ["apply", "--stage"]];
  for (const [command = "", ...flags] of commands) {
    const { code, out, err } = await run("policy", command, broken, ...flags);
    expect([code, out]).toEqual([2, ""]);
    const lines = err.trimEnd().split("\n");
    const unchanged = command === "apply" ? ", nothing was changed" : "";
    expect(lines[0]).toBe(`netwall-gateway: The policy has faults${unchanged}`);
    expect(lines.length).toBeGreaterThanOrEqual(3);
    for (const line of lines.slice(1)) expect(line).toMatch(/broken\.yaml:\d+: spec\.rules\.[01]/);
    expect(err).toContain("broken.yaml:7: spec.rules.0.effect: write allow, alert or prevent (rule one)\n");
  }
  expect([commands.length, admin.asked.length]).toEqual([4, 0]);
});

test("faults that only the gateway finds are told the same way", async () => {
  const errors = [{ line: 3, path: "spec.defaultMode", message: "not here" }];
  admin.answers.set("PUT policy", problem(422, "The policy cannot be used", errors));
  expect(await run("policy", "apply", FILE)).toEqual({
    code: 2,
    out: "",
    err:
      `netwall-gateway: Nothing was changed: The policy cannot be used\n${FILE}:3: spec.defaultMode: not here\n`,
  });
});

async function* chunks(...parts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield typeof part === "string" ? new TextEncoder().encode(part) : part;
  await Promise.resolve();
}

test("standard input is read as a file is, and what cannot be read is refused by name", async () => {
  expect(await readPolicyFile("-", chunks(POLICY.slice(0, 9), POLICY.slice(9)))).toEqual({
    name: "standard input",
    text: SENT,
  });
  const endless = (async function* (): AsyncGenerator<Uint8Array> {
    for (;;) yield await Promise.resolve(new Uint8Array(1 << 20).fill(0x20));
  })();
  const large = join(dir, "large.yaml");
  writeFileSync(large, new Uint8Array(POLICY_BYTES_MAX + 1).fill(0x20));
  const cases: [string, AsyncIterable<Uint8Array>, RegExp][] = [
    ["-", endless, /^Cannot read the policy in standard input: it has over 16777216 bytes/],
    ["-", chunks(), /standard input:1: is empty: begin with apiVersion/],
    ["-", chunks(Uint8Array.of(0xff, 0xfe)), /no UTF-8 text/],
    ["-", chunks("{".repeat(100_000)), /standard input/],
    [large, chunks(), /large\.yaml: it has over 16777216 bytes/],
    [join(dir, "none\u001b[2J"), chunks(), /none\\u001b\[2J: there is no such file/],
    [dir, chunks(), /it is a directory/],
  ];
  for (const [path, input, message] of cases) {
    const error = await readPolicyFile(path, input).then(() => undefined, (error: unknown) => error);
    expect(error).toBeInstanceOf(AdminClientError);
    expect((error as AdminClientError).code).toBe("invalid");
    expect((error as AdminClientError).message).toMatch(message);
  }
  expect(cases).toHaveLength(7);
});

const EACH = [
  ["policy", "export"],
  ["policy", "diff", FILE],
  ["policy", "simulate", FILE],
  ["policy", "apply", FILE],
  ["policy", "apply", FILE, "--stage"],
  ["policy", "unstage"],
  ["policy", "versions"],
  ["policy", "rollback", "1"],
  ["policy", "mode", "shop/web", "alert"],
  ["policy", "audit"],
  ["groups"],
  ["groups", "relearn", "shop/web"],
  ["events"],
  ["events", "--follow"],
  ["events", "show", "1a"],
  ["events", "allow", "1a"],
  ["bans"],
  ["bans", "lift", "key"],
];

test("every command says the same of a gateway that is away, a token that is refused, and another API", async () => {
  const names = GATEWAY_PROGRAM.commands.map(({ name }) => name).filter((name) =>
    /^(?:policy|groups|events|bans)/.test(name)
  );
  expect(new Set(EACH.map((argv) => selectCommand(GATEWAY_PROGRAM, argv).command.name))).toEqual(
    new Set(names),
  );
  const away = await startFakeAdmin();
  await away.close();
  for (const argv of EACH) {
    const outcomes: [Outcome, number, RegExp][] = [
      [
        await runCommand([...argv, "--admin", away.address], { NETWALL_ADMIN_TOKEN: ADMIN_TOKEN }),
        1,
        /^netwall-gateway: Cannot reach the gateway at 127\.0\.0\.1:\d+: nothing listens there, start netwall-gateway/,
      ],
      [
        await runCommand([...argv, "--admin", admin.address], { NETWALL_ADMIN_TOKEN: "wrong" }),
        3,
        /^netwall-gateway: The gateway at .* does not take this admin token: /,
      ],
      [await run(...argv), 1, /^netwall-gateway: The gateway at .* said no \(404\): Not Found\n$/],
      [
        await runCommand([...argv, "--admin", admin.address, "--data", dir]),
        2,
        /^netwall-gateway: Cannot read an admin token from .*admin-token: there is no such file/,
      ],
    ];
    for (const [{ code, out, err }, wanted, message] of outcomes) {
      expect([argv.join(" "), code, out]).toEqual([argv.join(" "), wanted, ""]);
      expect(err).toMatch(message);
    }
  }
  expect(EACH).toHaveLength(18);
  expect(existsSync(join(dir, "admin-token"))).toBe(false);
});
