/**
 * Tests of the settings of the firewall: sections of the gateway, and what its commands take.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { z } from "zod";
import {
  adminTokenConfig,
  bansConfig,
  bansLiftConfig,
  eventsAllowConfig,
  eventsConfig,
  eventsSection,
  eventsShowConfig,
  groupsConfig,
  groupsRelearnConfig,
  learningSection,
  policyApplyConfig,
  policyAuditConfig,
  policyDiffConfig,
  policyExportConfig,
  policyModeConfig,
  policyRollbackConfig,
  policySimulateConfig,
  policyUnstageConfig,
  policyVersionsConfig,
} from "../../lib/config/firewall_config.ts";
import { agentConfig } from "../../lib/config/agent_config.ts";
import { gatewayConfig, tokenConfig } from "../../lib/config/gateway_config.ts";
import { ConfigError, loadConfig } from "../../lib/config/load.ts";
import { environmentOf, type FlagValues, settingsOf } from "../../lib/settings.ts";

/** The least that an agent is given. */
const AGENT = { gateway: ["ws://127.0.0.1:1"], token: "t.t.t", serve: ["web=http://127.0.0.1:1"] };
const SECTIONS = z.strictObject({ learning: learningSection, events: eventsSection });
const COMMANDS = [
  adminTokenConfig,
  bansConfig,
  bansLiftConfig,
  eventsAllowConfig,
  eventsConfig,
  eventsShowConfig,
  groupsConfig,
  groupsRelearnConfig,
  policyApplyConfig,
  policyAuditConfig,
  policyDiffConfig,
  policyExportConfig,
  policyModeConfig,
  policyRollbackConfig,
  policySimulateConfig,
  policyUnstageConfig,
  policyVersionsConfig,
];

/** Reads settings as a plain value: what comes out is what is compared. */
function load<S extends z.ZodObject>(
  schema: S,
  flags: FlagValues,
  env: Record<string, string> = {},
): z.output<S> {
  return loadConfig({ schema, flags, env }) as z.output<S>;
}

/** The faults as `path: message`. */
function faultsOf(schema: z.ZodObject, flags: FlagValues): string {
  try {
    load(schema, flags);
  } catch (error) {
    if (error instanceof ConfigError) {
      return error.faults.map(({ path, message }) => `${path}: ${message}`).join("\n");
    }
    throw error;
  }
  return "";
}

test("the sections have the defaults of a gateway that learns for days, and take a demo's seconds", () => {
  expect(load(SECTIONS, {})).toEqual({
    learning: { time: 3_600_000, requests: 1_000, quiet: 86_400_000, unseen: 0.001, promote: true },
    events: { keep: 2_592_000_000, size: 1_073_741_824 },
  });
  const flags = {
    ...{ "learning-time": "3s", "learning-requests": "20", "learning-quiet": "2s", "learning-unseen": "0.2" },
    ...{ "learning-promote": false, "events-keep": "1h", "events-size": "64MiB", "events-file": "e.ndjson" },
    ...{ "events-webhook": "https://hooks.example.com/T0/B1?x=1", "events-webhook-secret-file": "s" },
    "events-syslog": "tls://logs.example.com:6514",
  };
  expect(load(SECTIONS, flags)).toEqual({
    learning: { time: 3_000, requests: 20, quiet: 2_000, unseen: 0.2, promote: false },
    events: {
      ...{ keep: 3_600_000, size: 67_108_864, file: "e.ndjson", webhookSecretFile: "s" },
      webhook: new URL("https://hooks.example.com/T0/B1?x=1"),
      syslog: { transport: "tls", host: "logs.example.com", port: 6514 },
    },
  });
  expect(load(SECTIONS, {}, { NETWALL_LEARNING_TIME: "5m", NETWALL_EVENTS_SYSLOG: "udp://[::1]:514/" }))
    .toMatchObject({
      learning: { time: 300_000 },
      events: { syslog: { transport: "udp", host: "::1", port: 514 } },
    });
});

test("what is out of bounds is refused, and no secret of an address is repeated", () => {
  const cases: [string, string, RegExp][] = [
    ["learning-time", "366d", /too large/],
    ["learning-quiet", "-1s", /no duration/],
    ["learning-requests", "0", /too small/],
    ["learning-unseen", "1.1", /no share: write a number from 0 to 1 such as 0.001/],
    ["learning-unseen", "0.1%", /no share/],
    ["learning-unseen", "NaN", /no share/],
    ["learning-unseen", "", /no share/],
    ["events-keep", "0", /too small/],
    ["events-keep", "9999d", /too large/],
    ["events-size", "1KiB", /too small/],
    ["events-webhook", "hooks.example.com/SECRET", /^events\.webhook: /],
    ["events-webhook", "ftp://hooks.example.com/SECRET", /^events\.webhook: /],
    ["events-webhook", "https://u:SECRET@hooks.example.com/", /^events\.webhook: /],
    ["events-webhook", "https://hooks.example.com/#SECRET", /^events\.webhook: /],
    ["events-syslog", "logs.example.com:514", /^events\.syslog: /],
    ["events-syslog", "tcp://logs.example.com", /^events\.syslog: /],
    ["events-syslog", "tcp://u:SECRET@logs:514", /^events\.syslog: /],
  ];
  for (const [flag, value, message] of cases) {
    const faults = faultsOf(SECTIONS, { [flag]: value });
    expect([flag, value, faults]).toEqual([flag, value, message.test(faults) ? faults : String(message)]);
    expect(faults).not.toContain("SECRET");
  }
  expect(cases).toHaveLength(17);
  expect(faultsOf(SECTIONS, { "events-webhook-secret-file": "s" })).toBe(
    "events.webhookSecretFile: a secret is given but nothing to sign: add --events-webhook URL",
  );
});

test("every setting of every command is described, and has the name of its value", () => {
  const settings = [...COMMANDS, SECTIONS].flatMap(settingsOf);
  expect(settings.length).toBeGreaterThan(60);
  expect(settings.filter(({ description }) => description === "")).toEqual([]);
  expect(settings.filter(({ kind, metavar }) => kind !== "switch" && metavar === "VALUE")).toEqual([]);
  // A token must not stand on a command line, where every user of the machine can read it.
  expect(settings.filter(({ flag }) => flag === "admin-token")).toEqual([]);
});

test("what the commands take by default, and what they refuse", () => {
  const connection = {
    admin: { kind: "http" as const, secure: false, host: "127.0.0.1", port: 9090, path: "" },
    data: "./netwall-data",
  };
  expect(load(eventsConfig, {})).toEqual({
    ...{ follow: false, limit: 50, long: false, json: false, ...connection },
  });
  expect(load(policySimulateConfig, { file: "-" })).toEqual({
    ...{ file: "-", since: 86_400_000, json: false, ...connection },
  });
  expect(load(policyVersionsConfig, {})).toEqual({ limit: 20, json: false, ...connection });
  expect(load(adminTokenConfig, { name: "alice@example.com", role: "viewer" })).toEqual({
    ...{ name: "alice@example.com", role: "viewer", ttl: 2_592_000_000, data: "./netwall-data" },
  });
  const cases: [z.ZodObject, FlagValues, RegExp][] = [
    [adminTokenConfig, { name: "a b", role: "viewer" }, /^name: /],
    [adminTokenConfig, { name: "a", role: "admin" }, /^role: .*viewer, operator/],
    [adminTokenConfig, { name: "a" }, /^role: /],
    [adminTokenConfig, { name: "a", role: "viewer", ttl: "9999d" }, /^ttl: /],
    [policyDiffConfig, {}, /^file: /],
    [policyModeConfig, { group: "shop", mode: "alert" }, /^group: .*NAMESPACE\/IMAGE/],
    [policyModeConfig, { group: `shop/${"a".repeat(600)}`, mode: "alert" }, /^group: /],
    [policyModeConfig, { group: "shop/a\u001b", mode: "alert" }, /^group: .*\\u001b/],
    [policyModeConfig, { group: "shop/a", mode: "prevnt" }, /did you mean prevent/],
    [
      policyModeConfig,
      { group: "shop/ghcr.io:5000/acme/web:1.2", mode: "alert" },
      /^group: "shop.*:1\.2" has a tag, a group has none: write shop\/ghcr\.io:5000\/acme\/web$/,
    ],
    [
      policyModeConfig,
      { group: "shop/web:1@sha256:00", mode: "alert" },
      /has a digest, a group has none: write shop\/web$/,
    ],
    [policyModeConfig, { group: "shop/:1", mode: "alert" }, /the image has no name/],
    [policyModeConfig, { group: "shop/*", mode: "alert" }, /name one, see groups/],
    [policyModeConfig, { group: "Shop/web", mode: "alert" }, /"Shop" is no namespace, .* as in shop\/web$/],
    [
      policyModeConfig,
      { group: "a_b/web", mode: "alert" },
      /"a_b" is no namespace, use a-z, 0-9 and inner hyphens$/,
    ],
    [groupsRelearnConfig, { group: "shop/web:1" }, /has a tag/],
    [eventsConfig, { namespace: "a/b" }, /^namespace: namespace "a\/b" is not valid/],
    [eventsShowConfig, { id: "a b" }, /^id: .*see events/],
    [bansLiftConfig, {}, /^key: /],
    [policyRollbackConfig, { version: "0" }, /^version: /],
    [policyApplyConfig, { file: "f", comment: "a\nb" }, /^comment: /],
    [policyApplyConfig, { file: "f", comment: "x".repeat(513) }, /^comment: /],
    [policyApplyConfig, { file: "f", stage: true, "if-version": "2" }, /^ifVersion: a staged policy/],
    [eventsConfig, { effect: "block" }, /^effect: /],
    [eventsConfig, { limit: "0" }, /^limit: /],
    [eventsConfig, { severity: "crit" }, /^severity: /],
    [eventsConfig, { host: "" }, /^host: /],
    [eventsConfig, { text: "" }, /^text: /],
    [eventsConfig, { text: "x".repeat(257) }, /^text: .*256/],
    [eventsConfig, { text: "a\nb" }, /^text: /],
    [eventsConfig, { source: "a\u0007" }, /^source: /],
    [eventsConfig, { since: "yesterday" }, /^since: /],
    [groupsConfig, { admin: "ws://x" }, /^admin: /],
  ];
  for (const [schema, flags, message] of cases) {
    const faults = faultsOf(schema, flags);
    expect([JSON.stringify(flags), faults]).toEqual([
      JSON.stringify(flags),
      message.test(faults) ? faults : String(message),
    ]);
  }
  expect(cases).toHaveLength(33);
});

test("only what finds the gateway has a name in the environment", () => {
  const names = new Set(COMMANDS.flatMap(environmentOf));
  expect([...names].sort()).toEqual(["NETWALL_ADMIN", "NETWALL_ADMIN_TOKEN_FILE", "NETWALL_DATA"]);
  expect(environmentOf(tokenConfig)).toEqual(["NETWALL_DATA"]);
  // What an agent or a gateway has under the same name is nothing to a command.
  const others = { NETWALL_SERVE: "web=http://a", NETWALL_EGRESS: "127.0.0.1:3128", NETWALL_FILE: "x" };
  expect(() => loadConfig({ schema: tokenConfig, flags: { name: "a" }, env: others })).toThrow();
  const env = { NETWALL_ADMIN: "https://gate.example/", NETWALL_DATA: "d", NETWALL_ADMIN_TOKEN_FILE: "f" };
  expect(loadConfig({ schema: agentConfig, flags: AGENT, env }).seal).toBe("off");
  const gateway = loadConfig({ schema: gatewayConfig, flags: {}, env });
  expect([gateway.admin, gateway.data]).toEqual([{ kind: "tcp", host: "127.0.0.1", port: 9090 }, "d"]);
  const address = { ...env, NETWALL_ADMIN: "127.0.0.1:1234" };
  expect(loadConfig({ schema: gatewayConfig, flags: {}, env: address }).admin).toMatchObject({ port: 1234 });
  expect(() => loadConfig({ schema: gatewayConfig, flags: { admin: "https://gate.example" }, env: {} }))
    .toThrow();
});

test("the environment of the admin token stands beside any command, and the token is no setting", () => {
  const env = { NETWALL_ADMIN_TOKEN: "t", NETWALL_ADMIN: "0.0.0.0:1234", NETWALL_DATA: "d" };
  expect(load(groupsConfig, {}, env)).toEqual({
    ...{ all: false, json: false },
    admin: { kind: "http", secure: false, host: "127.0.0.1", port: 1234, path: "" },
    data: "d",
  });
  expect(load(SECTIONS, {}, { NETWALL_ADMIN_TOKEN: "t", NETWALL_ADMIN_TOKEN_FILE: "f" }).events.size).toBe(
    2 ** 30,
  );
});
