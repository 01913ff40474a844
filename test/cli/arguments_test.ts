/**
 * The command line: which command, which values, and the message for every mistake.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { z } from "zod";
import {
  type CommandSpec,
  parseArguments,
  type ProgramSpec,
  selectCommand,
  UsageError,
} from "../../lib/cli/arguments.ts";
import { agentConfig } from "../../lib/config/agent_config.ts";
import {
  gatewayConfig,
  quickstartConfig,
  tokenConfig,
  tokenRevokeConfig,
} from "../../lib/config/gateway_config.ts";

const command = (name: string, options: z.ZodObject): CommandSpec => ({
  name,
  summary: "S",
  options,
  examples: [],
});
const SERVE = command("serve", gatewayConfig);
const RUN = command("run", agentConfig);
const GATEWAY: ProgramSpec = {
  name: "netwall-gateway",
  summary: "The edge",
  defaultCommand: SERVE,
  commands: [
    SERVE,
    command("token", tokenConfig),
    command("token revoke", tokenRevokeConfig),
    command("quickstart", quickstartConfig),
  ],
};

describe("selectCommand()", () => {
  test("takes the longest name that the first words spell, else the default", () => {
    const cases: [string[], string, string[]][] = [
      [[], "serve", []],
      [["--http", "off"], "serve", ["--http", "off"]],
      [["serve", "--http", "off"], "serve", ["--http", "off"]],
      [["token", "--name", "a"], "token", ["--name", "a"]],
      [["token", "revoke", "x"], "token revoke", ["x"]],
      [["quickstart", "token"], "quickstart", ["token"]],
    ];
    for (const [argv, name, rest] of cases) {
      const found = selectCommand(GATEWAY, argv);
      expect([found.command.name, found.argv]).toEqual([name, rest]);
    }
    expect(cases).toHaveLength(6);
  });

  test("names the nearest command for an unknown one", () => {
    expect(() => selectCommand(GATEWAY, ["tokn"])).toThrow(/^unknown command "tokn": did you mean token$/);
    expect(() => selectCommand(GATEWAY, ["zzzzzz"])).toThrow(
      /: the commands are serve, token, token revoke, quickst/,
    );
    expect(() => selectCommand(GATEWAY, ["\u001b[31m"])).toThrow(/"\\u001b\[31m"/);
  });
});

describe("parseArguments()", () => {
  test("reads values, lists, switches and positionals as text", () => {
    expect(
      parseArguments(RUN, [
        "--gateway",
        "wss://a",
        "--gateway=unix:/b",
        "--token-file",
        "t",
        "--target-insecure",
      ])
        .flags,
    ).toEqual({
      "gateway": ["wss://a", "unix:/b"],
      "token-file": "t",
      "target-insecure": true,
    });
    expect(
      parseArguments(RUN, ["--target-insecure=false", "--log-level=debug", "--head=1"].slice(0, 2)).flags,
    )
      .toEqual({ "target-insecure": "false", "log-level": "debug" });
    expect(parseArguments(RUN, ["--no-target-insecure"]).flags).toEqual({ "target-insecure": false });
    expect(parseArguments(RUN, ["--as=-x"]).flags).toEqual({ as: "-x" });
    const quickstart = command("quickstart", quickstartConfig);
    expect(parseArguments(quickstart, ["--http", ":1", "http://x"]).flags).toEqual({
      http: ":1",
      target: "http://x",
    });
    expect(parseArguments(quickstart, ["--", "--http"]).flags).toEqual({ target: "--http" });
    expect(parseArguments(quickstart, []).flags).toEqual({});
  });

  test("puts all words into a list positional", () => {
    const schema = z.strictObject({
      first: z.string().meta({ positional: true }),
      rest: z.array(z.string()).meta({ positional: true }),
    });
    expect(parseArguments(command("x", schema), ["a", "b", "c"]).flags).toEqual({
      first: "a",
      rest: ["b", "c"],
    });
  });

  test("raw doors repeat in their order, and the seal is a switch that takes a word", () => {
    expect(
      parseArguments(SERVE, ["--tcp", ":1=a", "--sni=:2", "--tcp=:3=b", "--allow-egress", "*:443"]).flags,
    )
      .toEqual({ tcp: [":1=a", ":3=b"], sni: ":2", "allow-egress": ["*:443"] });
    expect(parseArguments(RUN, ["--reach", "db=:1", "--reach=x=:2", "--egress", "[::1]:1"]).flags).toEqual({
      reach: ["db=:1", "x=:2"],
      egress: "[::1]:1",
    });
    const seals: [string[], string | boolean][] = [
      [["--seal"], true],
      [["--seal=require"], "require"],
      [["--no-seal"], false],
      [["--seal=false"], "false"],
    ];
    for (const [argv, seal] of seals) {
      const { flags } = parseArguments(RUN, [...argv, "--require-wall", "--proxy-protocol=db=v2"]);
      expect(flags).toEqual({ seal, "require-wall": true, "proxy-protocol": ["db=v2"] });
    }
    expect(seals).toHaveLength(4);
  });

  test("help and version win over every mistake, but not behind --", () => {
    for (
      const argv of [["--help"], ["-h"], ["--nonsense", "-h"], ["--http", "x", "--help"], [
        "--https",
        "--help",
      ]]
    ) {
      expect(parseArguments(SERVE, argv)).toEqual({ flags: {}, help: true, version: false });
    }
    expect(parseArguments(SERVE, ["--version"])).toEqual({ flags: {}, help: false, version: true });
    expect(() => parseArguments(SERVE, ["--", "--help"])).toThrow(/unexpected argument "--help"/);
  });

  const faults: [CommandSpec, string[], RegExp][] = [
    [RUN, ["--gatway", "x"], /^unknown flag --gatway: did you mean --gateway$/],
    [RUN, ["--gatway=wss://user:pass@x"], /^unknown flag --gatway: did you mean --gateway$/],
    [RUN, ["--token_file", "x"], /^unknown flag --token_file: did you mean --token-file$/],
    [RUN, ["--qqqqqqqqqqq"], /^unknown flag --qqqqqqqqqqq: --help lists all of them$/],
    [RUN, ["--hlep"], /^unknown flag --hlep: did you mean --help$/],
    [RUN, ["--constructor"], /^unknown flag --constructor/],
    [RUN, ["--__proto__=1"], /^unknown flag --__proto__/],
    [RUN, ["-gateway", "x"], /^unknown flag -gateway: did you mean --gateway$/],
    [RUN, ["-x"], /^unknown flag -x: flags have two dashes, --help lists them$/],
    [RUN, ["--gateway"], /^--gateway needs a value: --gateway URL$/],
    [RUN, ["--gateway="], /^--gateway needs a value: --gateway URL$/],
    [RUN, ["--gateway", ""], /^--gateway needs a value/],
    [
      RUN,
      ["--gateway", "--token", "x"],
      /^--gateway needs a value, and --token looks like a flag: --gateway URL/,
    ],
    [RUN, ["--token", "a", "--token", "b"], /^--token is given twice: it takes one value, keep one$/],
    [RUN, ["--target-insecure", "--no-target-insecure"], /^--target-insecure is given twice/],
    [RUN, ["--no-target-insecure=1"], /^--no-target-insecure takes no value: write --target-insecure=false$/],
    [RUN, ["--no-gateway"], /^unknown flag --no-gateway/],
    [
      RUN,
      ["web=http://localhost"],
      /^unexpected argument "web=http:\/\/localhost": a value follows its flag/,
    ],
    [command("token revoke", tokenRevokeConfig), ["a", "b"], /^unexpected argument "b"/],
    [SERVE, ["--limits", "x"], /^unknown flag --limits/],
    [SERVE, ["--udp", ":1=x"], /^unknown flag --udp/],
    [
      SERVE,
      ["--tcp", "--sni", ":1"],
      /^--tcp needs a value, and --sni looks like a flag: --tcp ADDR=SERVICE/,
    ],
    [SERVE, ["--sni", ":1", "--sni", ":2"], /^--sni is given twice/],
    [RUN, ["--egress", "a", "--egress", "b"], /^--egress is given twice/],
    [RUN, ["--seal", "--seal=require"], /^--seal is given twice/],
    [RUN, ["--no-seal=require"], /^--no-seal takes no value: write --seal=false$/],
    [RUN, ["--seal", "require"], /^--seal takes a value only in the same word: write --seal=require$/],
    [
      RUN,
      ["--require-wall", "true"],
      /^--require-wall takes a value only in the same word: write --require-wall=true$/,
    ],
    [RUN, ["--seal", "--log-level", "debug", "require"], /^unexpected argument "require"/],
    [RUN, ["--seal=require", "true"], /^unexpected argument "true"/],
    [RUN, ["--no-seal", "true"], /^unexpected argument "true"/],
    [RUN, ["--no-reach"], /^unknown flag --no-reach/],
    [SERVE, [`--${"x".repeat(100_000)}`], /^unknown flag --x{30}…: --help lists all of them$/],
  ];
  test("every mistake is a usage error that says what to write", () => {
    for (const [spec, argv, message] of faults) {
      expect(() => parseArguments(spec, argv)).toThrow(UsageError);
      expect(() => parseArguments(spec, argv)).toThrow(message);
    }
    expect(faults).toHaveLength(33);
  });

  test("a command that is misspelt behind flags, or the second word of one, is named", () => {
    const names = GATEWAY.commands.map(({ name }) => name);
    const token = GATEWAY.commands[1]!;
    const cases: [CommandSpec, string[], RegExp][] = [
      [
        SERVE,
        ["--http", ":1", "tokn"],
        /^unexpected argument "tokn": did you mean the command token \(it stands first\)$/,
      ],
      [token, ["revok", "x"], /did you mean the command token revoke \(it stands first\)$/],
      [token, ["--name", "a", "quickstrat"], /did you mean the command quickstart /],
      [SERVE, ["web=http://localhost"], /: a value follows its flag, --help lists them$/],
    ];
    for (const [spec, argv, message] of cases) {
      expect(() => parseArguments(spec, argv, names)).toThrow(UsageError);
      expect(() => parseArguments(spec, argv, names)).toThrow(message);
    }
    expect(cases).toHaveLength(4);
  });

  test("a token that lost its flag is not repeated whole", () => {
    const token = `${"eyJhbGciOiJFZERTQSJ9"}.${"x".repeat(300)}.secretsecret`;
    for (const argv of [[token], [`--tokn=${token}`], [`-t=${token}`]]) {
      let message = "";
      try {
        parseArguments(RUN, argv);
      } catch (error) {
        message = String(error);
      }
      expect(message).toMatch(/^UsageError: /);
      expect(message).not.toContain("xxxxxxxx");
    }
  });
});
