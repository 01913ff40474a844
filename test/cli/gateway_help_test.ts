/**
 * The help of every command of netwall-gateway: complete, findable, and with examples that parse.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { parseArguments, selectCommand, UsageError } from "../../lib/cli/arguments.ts";
import { renderHelp } from "../../lib/cli/help.ts";
import { COMMANDS, GATEWAY_PROGRAM } from "../../lib/gateway/program.ts";
import { settingsOf } from "../../lib/settings.ts";

test("every command is in the table, has its work, and is named by the help of the program", () => {
  const names = GATEWAY_PROGRAM.commands.map(({ name }) => name);
  expect(names).toEqual([...new Set(names)]);
  const others = ["serve", "quickstart"];
  expect(Object.keys(COMMANDS).concat(others).sort()).toEqual(
    names.toSorted(),
  );
  const text = renderHelp(GATEWAY_PROGRAM, GATEWAY_PROGRAM.defaultCommand);
  for (const { name, summary } of GATEWAY_PROGRAM.commands) {
    expect(text).toContain(`\n  ${name} `);
    expect(text.replace(/\s+/g, " ")).toContain(`${name} ${summary}`);
  }
  expect(names.length).toBeGreaterThanOrEqual(16);
});

test("the help of a command shows each of its flags and arguments, and examples that it takes", () => {
  let examples = 0;
  for (const command of GATEWAY_PROGRAM.commands) {
    const text = renderHelp(GATEWAY_PROGRAM, command, 100);
    for (const { flag, positional, metavar, description } of settingsOf(command.options)) {
      expect(text).toContain(positional ? `\n  ${metavar} ` : `--${flag}`);
      expect(text.replace(/\s+/g, " ")).toContain(description);
    }
    for (const example of command.examples) {
      examples += 1;
      expect(text).toContain(example);
      const words = example.replace(/ > \S+$/, "").match(/'[^']*'|\S+/g)!.map((word) =>
        word.replaceAll("'", "")
      );
      const selected = selectCommand(GATEWAY_PROGRAM, words.slice(1));
      expect(selected.command.name).toBe(command.name);
      expect(parseArguments(command, selected.argv).help).toBe(false);
    }
  }
  expect(examples).toBeGreaterThanOrEqual(GATEWAY_PROGRAM.commands.length);
});

test("what must be given is told from what may be left out", () => {
  const usages: [string[], string][] = [
    [["policy", "mode"], "policy mode [OPTION]… GROUP MODE"],
    [["policy", "rollback"], "policy rollback [OPTION]… VERSION"],
    [["policy", "apply"], "policy apply [OPTION]… FILE"],
    [["token", "revoke"], "token revoke [OPTION]… ID"],
    [["quickstart"], "quickstart [OPTION]… [TARGET]"],
  ];
  for (const [argv, usage] of usages) {
    const text = renderHelp(GATEWAY_PROGRAM, selectCommand(GATEWAY_PROGRAM, argv).command);
    expect(text).toContain(`\nUsage: netwall-gateway ${usage}\n`);
  }
  expect(usages).toHaveLength(5);
});

test("half of a command names a whole one", () => {
  const cases: [string[], RegExp][] = [
    [
      ["policy"],
      /^"policy" is half of a command: the commands are policy export, policy diff, .*policy mode$/,
    ],
    [["policy", "aply", "f"], /^unknown command "policy aply": did you mean policy apply$/],
    [["polcy", "export"], /^unknown command "polcy export": did you mean policy export$/],
    [["polcy"], /^unknown command "polcy": the commands are policy export, /],
    [["policy", "zzzzzz"], /^unknown command "policy zzzzzz": the commands are policy export, /],
    [["policy", "--json"], /^"policy" is half of a command: /],
    [["apply", "policy.yaml"], /: did you mean policy apply$/],
    [["allow"], /^unknown command "allow": did you mean events allow$/],
    [["zzzzzz"], /^unknown command "zzzzzz": the commands are serve, token, /],
    [["event"], /did you mean events/],
    [["group"], /did you mean groups/],
  ];
  for (const [argv, message] of cases) {
    let error: unknown;
    try {
      selectCommand(GATEWAY_PROGRAM, argv);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(UsageError);
    expect((error as UsageError).message).toMatch(message);
  }
  expect(cases).toHaveLength(11);
});
