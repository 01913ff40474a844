/**
 * What the forms of the view of links make: bodies for the API, and lines to paste.
 *
 * What is pasted is read back as a shell and as YAML read it: nothing that a user writes may become more than a word.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { parse } from "yaml";
import { parseGatewayAddress, parseTarget } from "../../lib/config/addresses.ts";
import { ApiError } from "../../lib/page/core/api.ts";
import {
  type AgentPlan,
  blocksOf,
  freeName,
  gatewayFault,
  gatewayNote,
  isRaw,
  likelyGateway,
  shellWord,
  targetFault,
  WAYS,
} from "../../lib/page/links/agent_lines.ts";
import { bodyOf, EMPTY_FORM, fieldErrors, namesIn, TTL_CHOICES } from "../../lib/page/links/token_request.ts";

const TOKEN = "eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiIxIn0.c2ln_-";
const PLAN: AgentPlan = {
  ...{ name: "web-1", service: "web", target: "http://127.0.0.1:3000", gateway: "wss://edge.example.com" },
  ...{ token: TOKEN, container: "shop" },
};

/** Texts that a shell, YAML, Compose or Kubernetes would read as something else. */
const HOSTILE = [
  ...[
    "a b",
    "$(touch x)",
    "`id`",
    "a'b",
    'a"b',
    "a;b",
    "$HOME",
    "${HOME}",
    "a\\b",
    "*",
    "~",
    "#x",
    "a: b",
    "- x",
  ],
  ...["'; echo no; '", "!x", "&a", "{a}", "|", "é", "a\tb", "$$", "$(HOME)"],
];

describe("the form of a token", () => {
  test("namesIn() takes commas and spaces, and each name once", () => {
    expect(namesIn(" web, api\tweb,,\n* ")).toEqual(["web", "api", "*"]);
    expect(namesIn(" , ")).toEqual([]);
  });

  test("bodyOf() leaves an empty namespace to the API", () => {
    expect(bodyOf({ ...EMPTY_FORM, name: " web-1 ", serve: "web" })).toEqual({
      ...{ name: "web-1", serve: ["web"], reach: [], egress: false, image: "", ttlSeconds: 7_776_000 },
    });
    expect(bodyOf({ ...EMPTY_FORM, namespace: " shop" }).namespace).toBe("shop");
    expect(TTL_CHOICES.some(({ seconds }) => seconds === EMPTY_FORM.ttlSeconds)).toBe(true);
    expect(Math.max(...TTL_CHOICES.map(({ seconds }) => seconds))).toBe(3_650 * 86_400);
  });

  test("fieldErrors() puts each fault at its field, and names what is wrong in a list", () => {
    const body = bodyOf({ ...EMPTY_FORM, name: "-", serve: "web Foo" });
    const found = fieldErrors(
      new ApiError("Cannot be used", 422, [
        { path: "name", message: "write a name" },
        { path: "serve.1", message: "is no name" },
        { path: "serve.9", message: "is odd" },
        { path: "constructor", message: "is not known" },
        { path: "", message: "is too large" },
      ]),
      body,
    );
    expect([...found]).toEqual([
      ["name", "write a name"],
      ["serve", "Foo is no name; is odd"],
      ["", "constructor is not known; is too large"],
    ]);
    expect(fieldErrors(new ApiError("Gone", 0), body).get("")).toBe("Gone");
    expect(fieldErrors("odd", body).get("")).toBe("odd");
  });
});

describe("the lines of an agent", () => {
  test("likelyGateway() follows the address of the page", () => {
    expect(likelyGateway({ protocol: "http:", hostname: "127.0.0.1" })).toBe("ws://127.0.0.1:8080");
    expect(likelyGateway({ protocol: "https:", hostname: "edge.example.com" })).toBe(
      "wss://edge.example.com",
    );
    expect(gatewayFault(likelyGateway({ protocol: "http:", hostname: "[::1]" }))).toBeUndefined();
  });

  test("freeName() takes the first that is free", () => {
    expect(freeName("web", new Set())).toBe("web-1");
    expect(freeName("web", new Set(["web-1", "web-2"]))).toBe("web-3");
    expect(freeName("", new Set())).toBe("agent-1");
  });

  test("what the form takes, the agent takes, too", () => {
    const gateways = ["wss://edge.example.com", "ws://127.0.0.1:8080", "ws://[::1]:1/x", "unix:/run/g.sock"];
    const targets = [
      ...[
        "http://127.0.0.1:3000",
        "https://[::1]:8443",
        "tcp://db:5432",
        "tls://db:5433",
        "unix:/run/a.sock",
      ],
      ...["unix+tcp:/run/a.sock", "http://app"],
    ];
    for (const text of gateways) {
      expect([text, gatewayFault(text)]).toEqual([text, undefined]);
      parseGatewayAddress(text);
    }
    for (const text of targets) {
      expect([text, targetFault(text)]).toEqual([text, undefined]);
      parseTarget(text);
    }
    expect(gateways.length + targets.length).toBe(11);
  });

  test("what the agent refuses, the form refuses, too", () => {
    const gateways = [
      ...["", "edge", "http://edge", "https://edge:1", "ws://a:b@edge", "ws://edge?x=1", "ws://edge#x"],
      ...["ftp://edge", "unix:", "unix://run/x"],
    ];
    const targets = [
      ...[
        "",
        "3000",
        "127.0.0.1:3000",
        "http://x/path",
        "http://u:p@x",
        "http://x?y",
        "ws://x",
        "unix:",
        "tcp://db",
      ],
      ...["unix://run/x", "javascript:alert(1)"],
    ];
    for (const text of gateways) {
      expect([text, gatewayFault(text) === undefined]).toEqual([text, false]);
      expect(() => parseGatewayAddress(text)).toThrow();
    }
    for (const text of targets) {
      expect([text, targetFault(text) === undefined]).toEqual([text, false]);
      expect(() => parseTarget(text)).toThrow();
    }
    expect(gateways.length + targets.length).toBe(21);
    expect(gatewayFault("https://edge:1")).toBe("write wss://edge:1");
    expect(targetFault("3000")).toBe("write http://127.0.0.1:3000");
  });

  test("gatewayNote() warns of loopback in containers, and of tokens in the clear", () => {
    expect(gatewayNote("ws://127.0.0.1:8080", "bunx")).toBe("");
    expect(gatewayNote("ws://127.0.0.1:8080", "docker")).toContain("the container itself");
    expect(gatewayNote("wss://localhost", "kubernetes")).toContain("the container itself");
    expect(gatewayNote("ws://edge.example.com:8080", "bunx")).toContain("not encrypted");
    expect(gatewayNote("wss://edge.example.com", "docker")).toBe("");
    expect(gatewayNote("unix:/run/g.sock", "docker")).toBe("");
  });

  test("every way has the token once, and never as a flag", () => {
    for (const way of WAYS) {
      const text = blocksOf(way, PLAN).map((block) => block.text).join("\n");
      expect([way, text.split(TOKEN).length - 1]).toEqual([way, 1]);
      expect(text.includes("--token")).toBe(false);
      expect(text).toContain("--gateway=wss://edge.example.com");
      expect(text).toContain("--serve=web=http://127.0.0.1:3000");
    }
    expect(WAYS).toHaveLength(6);
    expect(blocksOf("source", PLAN)[0]!.text).toContain(
      " npx bun agent.ts --gateway=wss://edge.example.com ",
    );
    expect(gatewayNote("ws://127.0.0.1:8080", "source")).toBe("");
    const [line] = blocksOf("bunx", PLAN);
    // The space in front keeps it out of histories.
    expect(line!.text).toBe(
      ` NETWALL_TOKEN=${TOKEN} bunx netwall-agent --gateway=wss://edge.example.com --serve=web=http://127.0.0.1:3000`,
    );
  });

  test.skipIf(process.platform === "win32")("shellWord() makes one word of anything", () => {
    let cases = 0;
    for (const text of [...HOSTILE, "", "a\nb", "-n"]) {
      const { stdout } = spawnSync("sh", ["-c", `printf '[%s]' ${shellWord(text)}`], { encoding: "utf8" });
      expect(stdout).toBe(`[${text}]`);
      cases++;
    }
    expect(cases).toBe(HOSTILE.length + 3);
  });

  test("hostile texts stay one argument in YAML", () => {
    for (const hostile of HOSTILE) {
      const plan = { ...PLAN, target: hostile, container: hostile };
      const service = (parse(`services:\n${blocksOf("compose", plan)[1]!.text}`) as {
        services: Record<string, { command: string[]; network_mode: string }>;
      }).services["web-1-agent"]!;
      // Compose reads two dollars as one.
      expect(service.command[2]!.replaceAll("$$", "$")).toBe(`--serve=web=${hostile}`);
      expect(/(?<!\$)(?:\$\$)*\$(?!\$)/.test(service.command[2]!)).toBe(false);
      expect(service.network_mode.replaceAll("$$", "$")).toBe(`service:${hostile}`);
      const [secret, containers] = blocksOf("kubernetes", plan).map((block) => parse(block.text) as unknown);
      expect((secret as { stringData: { token: string } }).stringData.token).toBe(TOKEN);
      const [container] = containers as { args: string[] }[];
      expect(container!.args[2]!.replaceAll("$$(", "$(")).toBe(`--serve=web=${hostile}`);
    }
    expect(HOSTILE).toHaveLength(23);
  });

  test("names of objects in Kubernetes are ones that it takes", () => {
    let cases = 0;
    for (const name of ["Web.1", "a_b", "-", "x".repeat(128), "A"]) {
      const secret = parse(blocksOf("kubernetes", { ...PLAN, name })[0]!.text) as {
        metadata: { name: string };
      };
      expect(secret.metadata.name).toMatch(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/);
      expect(secret.metadata.name.length).toBeLessThanOrEqual(253);
      cases++;
    }
    expect(cases).toBe(5);
  });

  test("isRaw() tells raw targets from those of requests", () => {
    expect(["tcp://x:1", "tls://x:1", "unix+tcp:/x", "http://x", "unix:/x"].filter(isRaw)).toHaveLength(3);
  });

  test("the first way is one that works without a registry", () => {
    expect([WAYS[0], WAYS.at(-1)]).toEqual(["source", "bunx"]);
  });
});
