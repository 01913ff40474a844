/**
 * Putting the settings together: order of sources, every fixture at its path, and hostile files.
 *
 * @module
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { z } from "zod";
import { agentConfig } from "../../lib/config/agent_config.ts";
import {
  gatewayConfig,
  quickstartConfig,
  tokenConfig,
  tokenListConfig,
  tokenRevokeConfig,
} from "../../lib/config/gateway_config.ts";
import {
  ConfigError,
  type ConfigFault,
  formatConfigError,
  loadConfig,
  type LoadOptions,
} from "../../lib/config/load.ts";
import { Secret } from "../../lib/config/secret.ts";
import { CONFIG_FILE_BYTES_MAX, parseYaml, YamlFileError } from "../../lib/config/yaml_file.ts";
import { environmentOf, settingsOf } from "../../lib/settings.ts";

const FIXTURES = join(import.meta.dirname ?? "", "../fixtures/config");
const scratch = mkdtempSync(join(tmpdir(), "netwall-config-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function write(name: string, content: string | Uint8Array): string {
  const path = join(scratch, name);
  writeFileSync(path, content);
  return path;
}

const AGENT_ENV = {
  NETWALL_TOKEN: "abc",
  NETWALL_GATEWAY: "wss://gw",
  NETWALL_SERVE: "web=http://localhost:3000",
};

function load<S extends z.ZodObject>(
  schema: S,
  options: Partial<LoadOptions<S>> = {},
): Readonly<z.output<S>> {
  return loadConfig({ schema, flags: {}, env: {}, ...options });
}

function faultsOf<S extends z.ZodObject>(
  schema: S,
  options: Partial<LoadOptions<S>>,
): readonly ConfigFault[] {
  try {
    load(schema, options);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

describe("the defaults", () => {
  test("of the gateway parse, with durations in milliseconds and sizes in bytes", () => {
    expect(load(gatewayConfig)).toEqual({
      http: { kind: "tcp", host: "0.0.0.0", port: 8080 },
      https: { kind: "off" },
      cert: [],
      key: [],
      sni: { kind: "off" },
      tcp: [],
      allowEgress: [],
      redirectHttps: false,
      link: [],
      admin: { kind: "tcp", host: "127.0.0.1", port: 9090 },
      route: [],
      trustedProxy: [],
      firewall: true,
      data: "./netwall-data",
      learning: { time: 3_600_000, requests: 1_000, quiet: 86_400_000, unseen: 0.001, promote: true },
      events: { keep: 2_592_000_000, size: 1_073_741_824 },
      limits: {
        headBytesMax: 32_768,
        bodyBytesMax: 0,
        headTimeout: 10_000,
        answerTimeout: 60_000,
        idleTimeout: 0,
        connectTimeout: 10_000,
        keepAliveTimeout: 65_000,
        connectionsMax: 10_000,
        streamsMax: 4096,
        memory: 134_217_728,
        sessionWindow: 33_554_432,
        grace: 30_000,
      },
      log: { level: "info", format: "auto", access: false },
    });
  });
  test("of the other commands parse with what they need", () => {
    expect(load(quickstartConfig)).toMatchObject({ http: { host: "127.0.0.1", port: 8080 } });
    expect(load(quickstartConfig, { flags: { target: "http://localhost:3000" } }).target).toMatchObject({
      port: 3000,
    });
    expect(load(tokenListConfig)).toEqual({ data: "./netwall-data" });
    expect(load(tokenRevokeConfig, { flags: { id: "web" } }).id).toBe("web");
    expect(load(tokenConfig, { flags: { name: "web-1", serve: ["web", "*"] } })).toEqual({
      name: "web-1",
      serve: ["web", "*"],
      reach: [],
      egress: false,
      namespace: "default",
      ttl: 7_776_000_000,
      data: "./netwall-data",
    });
    const config = load(agentConfig, { env: AGENT_ENV });
    expect(config.limits).toEqual({
      streamsMax: 4096,
      memory: 67_108_864,
      sessionWindow: 33_554_432,
      connectTimeout: 10_000,
      idleTimeout: 0,
      connectionsMax: 4096,
      grace: 30_000,
    });
    expect([config.replay, config.links, config.targetInsecure]).toEqual(["exact", 1, false]);
  });
  test("are all described, and flags and environment names are made from the keys", () => {
    const schemas = [
      gatewayConfig,
      agentConfig,
      tokenConfig,
      tokenListConfig,
      tokenRevokeConfig,
      quickstartConfig,
    ];
    const settings = schemas.flatMap(settingsOf);
    expect(settings.length).toBeGreaterThan(60);
    expect(settings.filter((setting) => setting.description === "")).toEqual([]);
    expect(settings.filter((setting) => setting.kind !== "switch" && setting.metavar === "VALUE")).toEqual(
      [],
    );
    const names = environmentOf(gatewayConfig);
    for (const name of ["NETWALL_HEAD_BYTES_MAX", "NETWALL_LOG_LEVEL", "NETWALL_REDIRECT_HTTPS"]) {
      expect(names).toContain(name);
    }
  });
});

describe("the order of sources", () => {
  const file = write(
    "order.yaml",
    "http: :1\nadmin: :2\nlimits:\n  grace: 1s\nroute: [a.com=file, b.com=file]\n",
  );
  const env = { NETWALL_ADMIN: ":3", NETWALL_GRACE: "2s", NETWALL_ROUTE: " c.com=env , ,d.com=env " };
  test("is defaults, file, environment, flags; a stronger list replaces a weaker one", () => {
    const config = load(gatewayConfig, { file, env, flags: { grace: "3s" } });
    expect(config.http).toMatchObject({ port: 1 });
    expect(config.admin).toMatchObject({ port: 3 });
    expect(config.limits.grace).toBe(3000);
    expect(config.limits.headTimeout).toBe(10_000);
    expect(config.route.map((route) => route.host)).toEqual(["c.com", "d.com"]);
    const byFlag = load(gatewayConfig, { file, env, flags: { route: ["e.com=flag"] } });
    expect(byFlag.route).toEqual([{ host: "e.com", path: "", service: "flag" }]);
  });
  test("takes the file from the caller, the flag or the environment, in this order", () => {
    const other = write("other.yaml", "http: :9\n");
    const portOf = (options: Partial<LoadOptions<typeof gatewayConfig>>): unknown =>
      (load(gatewayConfig, options).http as { port: number }).port;
    expect(portOf({ file, flags: { config: other } })).toBe(1);
    expect(portOf({ flags: { config: other }, env: { NETWALL_CONFIG: file } })).toBe(9);
    expect(portOf({ env: { NETWALL_CONFIG: file } })).toBe(1);
    expect(portOf({ env: { NETWALL_CONFIG: "" } })).toBe(8080);
  });
  test("reads switches and secrets from the environment, and takes an empty value as not set", () => {
    const env = { ...AGENT_ENV, NETWALL_TARGET_INSECURE: "1", NETWALL_LINKS: "2", NETWALL_AS: "" };
    const config = load(agentConfig, { env });
    expect([config.targetInsecure, config.links, config.as]).toEqual([true, 2, undefined]);
    expect(config.token).toBeInstanceOf(Secret);
    expect(config.token?.reveal()).toBe("abc");
    expect(JSON.stringify(config)).not.toContain("abc");
  });
  test("gives a value that is frozen all through", () => {
    const config = load(gatewayConfig, { file });
    for (const value of [config, config.limits, config.route, config.route[0], config.http]) {
      expect(Object.isFrozen(value)).toBe(true);
    }
    expect(() => ((config.limits as { grace: number }).grace = 1)).toThrow(TypeError);
  });
});

describe("raw connections, calls and the seal", () => {
  const agentOf = (
    options: Partial<LoadOptions<typeof agentConfig>>,
  ): Readonly<z.output<typeof agentConfig>> =>
    load(agentConfig, { ...options, env: { ...AGENT_ENV, ...options.env } });

  test("of an agent are off by default, and each source can turn them on", () => {
    const config = agentOf({});
    expect([config.reach, config.egress, config.proxyProtocol]).toEqual([[], undefined, []]);
    expect([config.requireWall, config.auditWall, config.seal]).toEqual([false, true, "off"]);
    const flags = {
      serve: ["db=tcp://localhost:5432", "web=http://localhost:3000"],
      "proxy-protocol": ["db=v2"],
      reach: ["queue=127.0.0.1:5672", "users=unix:/run/users.sock"],
      egress: "[::1]:3128",
      "require-wall": true,
    };
    const set = agentOf({ flags });
    expect(set.serve.map(({ target }) => target.kind)).toEqual(["tcp", "http"]);
    expect(set.proxyProtocol).toEqual([{ service: "db", version: 2 }]);
    expect(set.reach).toEqual([
      { service: "queue", address: { kind: "tcp", host: "127.0.0.1", port: 5672 } },
      { service: "users", address: { kind: "unix", path: "/run/users.sock" } },
    ]);
    expect([set.egress, set.requireWall]).toEqual([{ kind: "tcp", host: "::1", port: 3128 }, true]);
    const byEnv = agentOf({
      env: {
        NETWALL_SERVE: "db=tcp://localhost:5432",
        NETWALL_PROXY_PROTOCOL: "db=v1",
        NETWALL_REACH: "a=127.0.0.1:1,b=127.0.0.1:2",
        NETWALL_EGRESS: "127.0.0.1:3128",
        NETWALL_REQUIRE_WALL: "1",
      },
    });
    expect(byEnv.proxyProtocol).toEqual([{ service: "db", version: 1 }]);
    expect(byEnv.reach.map(({ service }) => service)).toEqual(["a", "b"]);
    expect([byEnv.egress, byEnv.requireWall]).toEqual([{ kind: "tcp", host: "127.0.0.1", port: 3128 }, true]);
  });

  test("a wall that is not looked at cannot be required", () => {
    const serve = ["web=http://localhost:3000"];
    for (const flags of [{ serve, "audit-wall": "false" }, { serve, "audit-wall": false }]) {
      expect(agentOf({ flags }).auditWall).toBe(false);
    }
    expect(agentOf({ flags: { serve }, env: { NETWALL_AUDIT_WALL: "0" } }).auditWall).toBe(false);
    expect(faultsOf(agentConfig, {
      env: { NETWALL_TOKEN: "x", NETWALL_GATEWAY: "wss://g" },
      flags: { serve, "require-wall": true, "audit-wall": false },
    })).toMatchObject([{
      message: "--require-wall needs the audit: leave out --audit-wall=false, or --require-wall",
    }]);
  });

  test("an agent that only calls need not serve, and any port may be picked twice", () => {
    const env = { NETWALL_TOKEN: "x", NETWALL_GATEWAY: "wss://g" };
    expect(faultsOf(agentConfig, { env, flags: { reach: ["db=127.0.0.1:0"] } })).toEqual([]);
    expect(faultsOf(agentConfig, { env, flags: { egress: "unix:/run/e.sock" } })).toEqual([]);
    const free = { reach: ["db=127.0.0.1:0", "db=127.0.0.1:0"], egress: "127.0.0.1:0" };
    expect(faultsOf(agentConfig, { env, flags: free })).toEqual([]);
    const same = { reach: ["db=unix:/run/e.sock"], egress: "unix:/run/e.sock" };
    expect(faultsOf(agentConfig, { env, flags: same })).toEqual([
      {
        path: "reach",
        source: "--reach",
        message: "two doors are at unix:/run/e.sock: give one another address",
      },
    ]);
  });

  test("the seal is a switch that may insist", () => {
    const cases: [Partial<LoadOptions<typeof agentConfig>>, string][] = [
      [{}, "off"],
      [{ flags: { seal: true } }, "on"],
      [{ flags: { seal: "require" } }, "require"],
      [{ flags: { seal: "true" } }, "on"],
      [{ flags: { seal: false } }, "off"],
      [{ env: { NETWALL_SEAL: "require" } }, "require"],
      [{ env: { NETWALL_SEAL: "1" } }, "on"],
      [{ env: { NETWALL_SEAL: "true" } }, "on"],
      [{ env: { NETWALL_SEAL: "0" } }, "off"],
      [{ env: { NETWALL_SEAL: "false" } }, "off"],
      [{ env: { NETWALL_SEAL: "" } }, "off"],
      [{ env: { NETWALL_SEAL: "require" }, flags: { seal: false } }, "off"],
      [{ file: write("seal-require.yaml", "seal: require\n") }, "require"],
      [{ file: write("seal-true.yaml", "seal: true\n") }, "on"],
      [{ file: write("seal-false.yaml", "seal: false\n"), env: { NETWALL_SEAL: "1" } }, "on"],
    ];
    for (const [options, mode] of cases) {
      const { env, flags, file } = options;
      const given = JSON.stringify({ env, flags, file });
      expect([given, agentOf(options).seal as string]).toEqual([given, mode]);
    }
    expect(cases).toHaveLength(15);
    for (const value of ["required", "REQUIRE", "on", "off", "yes", "2", "req\nuire"]) {
      const [fault] = faultsOf(agentConfig, { env: { ...AGENT_ENV, NETWALL_SEAL: value } });
      expect([value, fault?.path, fault?.source]).toEqual([value, "seal", "NETWALL_SEAL"]);
      expect(fault!.message).toMatch(
        /is no way to seal: write true, false or require; as flags --seal or --seal=require$/,
      );
      expect(fault!.message).not.toContain("\n");
    }
  });

  test("of a gateway come from flags and the environment, in order", () => {
    const config = load(gatewayConfig, {
      flags: {
        tcp: ["127.0.0.1:0=db", "[::1]:5433=db", "unix:/run/x=y.sock=mail"],
        sni: ":443",
        "allow-egress": ["api.example.com:443", "*.example.com:80-90", "10.0.0.0/8:*"],
        route: ["grpc.example.com@h2=grpc", "*@*=rest", "example.com/a@b=web"],
      },
    });
    expect(config.tcp).toEqual([
      { address: { kind: "tcp", host: "127.0.0.1", port: 0 }, service: "db" },
      { address: { kind: "tcp", host: "::1", port: 5433 }, service: "db" },
      { address: { kind: "unix", path: "/run/x=y.sock" }, service: "mail" },
    ]);
    expect(config.sni).toEqual({ kind: "tcp", host: "0.0.0.0", port: 443 });
    expect(config.allowEgress.map(({ kind }) => kind)).toEqual(["name", "subdomains", "network"]);
    expect(config.route).toEqual([
      { host: "grpc.example.com", path: "", service: "grpc", alpn: "h2" },
      { host: "*", path: "", service: "rest", alpn: "*" },
      { host: "example.com", path: "/a@b", service: "web" },
    ]);
    const env = { NETWALL_TCP: ":5432=db,:5433=mail", NETWALL_SNI: "off", NETWALL_ALLOW_EGRESS: "a.com:1" };
    const byEnv = load(gatewayConfig, { env });
    expect(byEnv.tcp.map(({ service }) => service)).toEqual(["db", "mail"]);
    expect([byEnv.sni.kind, byEnv.allowEgress.length]).toEqual(["off", 1]);
  });

  test("a token may reach and call the outside", () => {
    const flags = { name: "a", reach: ["db", "*"], egress: true };
    expect(load(tokenConfig, { flags })).toMatchObject({ serve: [], reach: ["db", "*"], egress: true });
    const faults = faultsOf(tokenConfig, { flags: { name: "a", reach: ["db:5432"] } });
    expect(faults[0]).toMatchObject({ path: "reach[0]", source: "--reach" });
  });
});

describe("the environment", () => {
  test("refuses unknown names with the nearest right one", () => {
    expect(faultsOf(gatewayConfig, { env: { NETWALL_HTPP: ":1", NETWALL_QQQQQQQQQ: "x" } })).toEqual([
      { path: "", source: "NETWALL_HTPP", message: "unknown setting: did you mean NETWALL_HTTP" },
      { path: "", source: "NETWALL_QQQQQQQQQ", message: "unknown setting: unset it, --help lists all names" },
    ]);
  });
  test("allows names that are shared, that the caller knows, and those of Kubernetes services", () => {
    const env = {
      NETWALL_TOKEN: "x",
      NETWALL_SERVE: "web=http://a",
      NETWALL_SERVICE_HOST: "10.0.0.1",
      NETWALL_SERVICE_PORT: "80",
      NETWALL_SERVICE_PORT_HTTP: "80",
      NETWALL_PORT: "tcp://10.0.0.1:80",
      NETWALL_PORT_80_TCP: "tcp://10.0.0.1:80",
      NETWALL_PORT_80_TCP_PROTO: "tcp",
      NETWALL_PORT_80_TCP_PORT: "80",
      NETWALL_PORT_80_TCP_ADDR: "10.0.0.1",
      NETWALL_GATEWAY_SERVICE_HOST: "10.0.0.1",
      NETWALL_GATEWAY_PORT_8080_TCP: "tcp://10.0.0.1:8080",
      NETWALLED: "not ours",
      "netwall_http": "not ours",
    };
    expect(faultsOf(gatewayConfig, { env, environmentOthers: environmentOf(agentConfig) })).toEqual([]);
    expect(faultsOf(gatewayConfig, { env: { NETWALL_PORT_X: "1" } })).toHaveLength(1);
  });
});

describe("faults", () => {
  test("are all reported at once, each with its place", () => {
    const file = write(
      "faults.yaml",
      "http: 8080\nlimits:\n  grace: 5\n  headTimeot: 1s\nroute:\n  - a.com=b\n  - nope\n",
    );
    const faults = faultsOf(gatewayConfig, {
      file,
      env: { NETWALL_MEMORY: "10", NETWALL_LINK: ":1,off" },
      flags: { "log-level": "loud", "stream-max": "x" },
    });
    expect(faults.map(({ path, source }) => [path, source.replace(scratch, "")])).toEqual([
      ["limits.headTimeot", "/faults.yaml:4"],
      ["http", "/faults.yaml:1"],
      ["link[1]", "NETWALL_LINK"],
      ["route[1]", "/faults.yaml:7"],
      ["limits.memory", "NETWALL_MEMORY"],
      ["limits.grace", "/faults.yaml:3"],
      ["log.level", "--log-level"],
    ]);
    const text = formatConfigError(new ConfigError(faults));
    expect(text.split("\n")).toHaveLength(7);
    expect(text).toContain('limits.memory (NETWALL_MEMORY): "10" has no unit: write a size such as 64KiB');
  });
  test("of what is missing say so, and of a positional name it", () => {
    expect(faultsOf(agentConfig, {}).map(({ path, source }) => `${path} ${source}`)).toEqual([
      "gateway not given",
      "token not given",
      "serve not given",
    ]);
    expect(faultsOf(tokenConfig, {})).toEqual([
      { path: "name", source: "not given", message: "has no value: write one AGENT" },
    ]);
    expect(faultsOf(quickstartConfig, { flags: { target: "localhost" } })).toEqual([{
      path: "target",
      source: "TARGET",
      message: 'target "localhost" has no scheme: write http://localhost',
    }]);
  });
  test("of tokens name the rule", () => {
    const cases: [Record<string, string | string[]>, RegExp][] = [
      [{ name: "a b" }, /is not valid: use letters, digits, dots/],
      [{ name: "a", serve: ["Web"] }, /service name "Web" is not valid/],
      [{ name: "a", serve: ["a,b"] }, /service name "a,b" is not valid/],
      [{ name: "a", ttl: "3651d" }, /is too large: at most 3650d/],
      [{ name: "a", ttl: "90" }, /has no unit/],
      [{ name: "a", ttl: "0" }, /is too small: at least 1s/],
      [{ name: "a", image: "a b" }, /write a reference such as ghcr.io/],
      [{ name: "a", namespace: "A" }, /such as a$/],
    ];
    for (const [flags, message] of cases) {
      expect(faultsOf(tokenConfig, { flags })[0]?.message).toMatch(message);
    }
    expect(cases).toHaveLength(8);
  });
  test("never hold a secret", () => {
    const env = {
      ...AGENT_ENV,
      NETWALL_TOKEN: `${"hunter2".repeat(2000)}`,
      NETWALL_GATEWAY: "wss://u:hunter2@gw",
    };
    const faults = faultsOf(agentConfig, { env });
    expect(faults).toHaveLength(2);
    expect(JSON.stringify(faults)).not.toContain("hunter2");
  });
  test("are bounded in number", () => {
    const keys = Array.from({ length: 500 }, (_, index) => `zzzz${index}: 1\n`).join("");
    const faults = faultsOf(gatewayConfig, { file: write("many.yaml", keys) });
    expect(faults).toHaveLength(101);
    expect(faults.at(-1)).toEqual({ path: "", source: "400", message: "more faults: correct these first" });
  });
  test("stay one line each, whatever a file holds", () => {
    const file = write("lines.yaml", '"a\\nb\\e[31m": 1\nhttp: "x\\ny"\n');
    const text = formatConfigError(new ConfigError(faultsOf(gatewayConfig, { file })));
    expect(text.split("\n")).toHaveLength(2);
    expect(text).not.toContain("\u001b");
  });
});

describe("a file", () => {
  test("that cannot be used is one clear line", () => {
    const big = new Uint8Array(CONFIG_FILE_BYTES_MAX + 1).fill(0x20);
    mkdirSync(join(scratch, "dir"));
    const cases: [string, RegExp][] = [
      [join(scratch, "missing.yaml"), /missing.yaml: no such file: check the path of --config$/],
      [join(scratch, "dir"), /dir: a directory: name a file$/],
      [write("big.yaml", big), /big.yaml: too large: at most 1 MiB, is this the right file$/],
      ["/dev/zero", /\/dev\/zero: too large/],
      [write("latin1.yaml", new Uint8Array([0x61, 0x3a, 0x20, 0xe9])), /latin1.yaml: not UTF-8 text/],
    ];
    for (const [file, message] of cases) {
      // The agent's defaults are faults, which would only hide the one that matters.
      for (const schema of [gatewayConfig, agentConfig]) {
        expect(formatConfigError(new ConfigError(faultsOf(schema, { file })))).toMatch(message);
      }
    }
    expect(cases).toHaveLength(5);
    expect(load(gatewayConfig, { file: write("full.yaml", big.subarray(1)) }).cert).toEqual([]);
  });
  test("that is hostile ends in its own error, and soon", () => {
    // A small part of what a file may have, to be soon over on a busy machine too.
    const half = CONFIG_FILE_BYTES_MAX / 32;
    const cases = [
      "[".repeat(half),
      "{a: ".repeat(half / 4),
      "- ".repeat(half / 2),
      "? ".repeat(half / 2),
      "a: ".repeat(half / 4),
      Array.from({ length: 500 }, (_, index) => `${" ".repeat(index)}a:`).join("\n"),
      "&a ".repeat(half / 4),
      '"' + "\\".repeat(half),
      "%YAML 9.9\n---\n- a",
      "a: &x [*x, *x]",
      "!!map ".repeat(2_000) + "x",
      // Not wrong by themselves, only slow in a reader that compares each key with each.
      Array.from({ length: 10_000 }, (_, index) => `k${index}: 1\n`).join("") + "k0: 2",
      `{${"a,".repeat(half / 2)}}`,
    ];
    for (const text of cases) {
      let error: unknown;
      try {
        parseYaml(text);
      } catch (caught) {
        error = caught;
      }
      expect([text.slice(0, 12), error instanceof YamlFileError, String(error).includes("\n")])
        .toEqual([text.slice(0, 12), true, false]);
    }
    expect(cases).toHaveLength(13);
  });
});

describe("fixtures", () => {
  const schemaOf = (name: string): z.ZodObject => name.startsWith("agent_") ? agentConfig : gatewayConfig;
  test("that are valid parse", () => {
    const names = readdirSync(join(FIXTURES, "valid"));
    for (const name of names) {
      expect([name, faultsOf(schemaOf(name), { file: join(FIXTURES, "valid", name) })]).toEqual([name, []]);
    }
    expect(names).toHaveLength(13);
  });
  test("that hold every key hold every key", () => {
    const everything = (name: string, schema: z.ZodObject, but: string[]): void => {
      const { root } = parseYaml(readFileSync(join(FIXTURES, "valid", name), "utf8"));
      const missing = settingsOf(schema).filter(({ path }) =>
        path.reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], root) ===
          undefined
      );
      expect(missing.map((setting) => setting.flag)).toEqual(but);
    };
    everything("gateway_full.yaml", gatewayConfig, ["config"]);
    everything("agent_full.yaml", agentConfig, ["token", "target-insecure", "config"]);
  });
  test("that are invalid fail at the path and with the words of their first line", () => {
    const names = readdirSync(join(FIXTURES, "invalid"));
    for (const name of names) {
      const file = join(FIXTURES, "invalid", name);
      const [, path = "", message = ""] = /^# (\S+): (.+)$/m.exec(readFileSync(file, "utf8")) ?? [];
      expect([name, message === ""]).toEqual([name, false]);
      const faults = faultsOf(schemaOf(name), { file });
      const fault = faults.find((it) => (it.path || "file") === path);
      expect(`${name} ${fault?.message}`).toContain(message);
    }
    expect(names).toHaveLength(88);
  });
});
