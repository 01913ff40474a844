/**
 * Reads the command line: which command it is, and the values of its flags, still as text.
 *
 * `parseArgs` of `node:util` takes the words apart; what is right is decided here, so that every mistake gets a
 * message that names the nearest right flag. What a value means is decided by the schema, later, together with
 * the file and the environment.
 *
 * @module
 */

import { parseArgs } from "node:util";
import type { z } from "zod";
import { quoted } from "../printable.ts";
import { type FlagValues, type Setting, settingsOf } from "../settings.ts";
import { didYouMean, nearest } from "../nearest.ts";

/** A wrong call. The message says what is wrong and what to write; the process ends with `EXIT.usage`. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** A command, such as `token revoke`. */
export interface CommandSpec {
  /** One word or several, with one space between. */
  readonly name: string;
  /** One sentence without a period. */
  readonly summary: string;
  /** Its flags and positional arguments, see `settingsOf`. Positionals are in the order of their keys. */
  readonly options: z.ZodObject;
  /** Whole command lines, without a prompt. */
  readonly examples: readonly string[];
}

/** A program and its commands. */
export interface ProgramSpec {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly CommandSpec[];
  /** The command when none is named. */
  readonly defaultCommand: CommandSpec;
}

/** What a command line says. */
export interface Arguments {
  readonly flags: FlagValues;
  /** True when `--help` or `-h` is there: nothing else is looked at then. */
  readonly help: boolean;
  readonly version: boolean;
}

/** A message repeats no more of a word than this: it may be a token that lost its flag. */
const WORD_CHARS_SHOWN = 24;
const ALWAYS = ["help", "version"];

/**
 * Finds the command of a command line: the longest name its first words spell, else the default command.
 *
 * @param argv The words after the program's name.
 * @returns The command and the words behind its name.
 * @throws {UsageError} When the first word is neither a command nor something the default command takes.
 */
export function selectCommand(
  program: ProgramSpec,
  argv: readonly string[],
): { command: CommandSpec; argv: readonly string[] } {
  const found = program.commands
    .filter((command) => command.name.split(" ").every((word, index) => argv[index] === word))
    .sort((a, b) => b.name.length - a.name.length)[0];
  if (found !== undefined) return { command: found, argv: argv.slice(found.name.split(" ").length) };
  const first = argv[0];
  const takesWords = settingsOf(program.defaultCommand.options).some((setting) => setting.positional);
  if (first === undefined || first.startsWith("-") || takesWords) {
    return { command: program.defaultCommand, argv };
  }
  throw unknownCommand(program.commands.map((command) => command.name), first, argv[1]);
}

/** Names the command that was probably meant, or all that begin as it does: `policy` alone is half of several. */
function unknownCommand(names: readonly string[], first: string, second: string | undefined): UsageError {
  const word = second === undefined || second.startsWith("-") ? undefined : second;
  const written = quoted(word === undefined ? first : `${first} ${word}`, 2 * WORD_CHARS_SHOWN);
  // The second half alone, as in `apply`, is known by it.
  const whole = names.find((name) => name.endsWith(` ${first}`)) ??
    (word === undefined ? undefined : nearest(`${first} ${word}`, names));
  if (whole !== undefined) return new UsageError(`unknown command ${written}: did you mean ${whole}`);
  const head = nearest(first, names.map((name) => name.split(" ")[0]!));
  const near = names.filter((name) => name.split(" ")[0] === head);
  const only = near.length === 1 ? near[0] : near.find((name) => name === head);
  if (only !== undefined && first !== head) {
    return new UsageError(`unknown command ${quoted(first, WORD_CHARS_SHOWN)}: did you mean ${only}`);
  }
  const told = near.length > 0 ? near : names;
  const lead = word === undefined && first === head ? `${quoted(first)} is half of a command` : undefined;
  return new UsageError(`${lead ?? `unknown command ${written}`}: the commands are ${told.join(", ")}`);
}

/**
 * Reads the words behind a command's name.
 *
 * A list flag may repeat, any other may not. A switch also takes `=true` or `=false`, or `no-` in front. Words
 * after `--` are positional.
 *
 * @param commands The names of all commands, for a word too many that is one of them or nearly so.
 * @throws {UsageError} An unknown flag, a missing or unwanted value, a repeated flag, a word too many.
 */
export function parseArguments(
  spec: CommandSpec,
  argv: readonly string[],
  commands: readonly string[] = [],
): Arguments {
  const settings = settingsOf(spec.options);
  const byFlag = new Map(settings.filter((setting) => !setting.positional).map((it) => [it.flag, it]));
  if (asksFor(argv, "--help", byFlag) || asksFor(argv, "-h", byFlag)) {
    return { flags: {}, help: true, version: false };
  }
  if (asksFor(argv, "--version", byFlag)) return { flags: {}, help: false, version: true };
  refuseShortFlags(argv, byFlag);

  const values = new Map<string, string | boolean | string[]>();
  const words: string[] = [];
  let before: Setting | undefined;
  for (const token of tokensOf(argv, byFlag)) {
    if (token.kind === "positional") {
      if (before !== undefined) refuseValueApart(before, token.value);
      words.push(token.value);
    }
    before = undefined;
    if (token.kind !== "option") continue;
    const { setting, negated } = lookUp(token.rawName, byFlag);
    const text = textFor(setting, negated, token);
    if (setting.kind === "switch" && !negated && token.inlineValue !== true) before = setting;
    const known = values.get(setting.flag);
    if (known === undefined) values.set(setting.flag, setting.kind === "list" ? [String(text)] : text);
    else if (Array.isArray(known)) known.push(String(text));
    else throw new UsageError(`--${setting.flag} is given twice: it takes one value, keep one`);
  }
  for (const [name, value] of placeWords(settings, words, spec, commands)) values.set(name, value);
  return { flags: Object.fromEntries(values), help: false, version: false };
}

interface OptionToken {
  readonly kind: "option";
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inlineValue: boolean | undefined;
}
type Token = OptionToken | { readonly kind: "positional"; readonly value: string } | {
  readonly kind: "option-terminator";
};

function tokensOf(argv: readonly string[], byFlag: ReadonlyMap<string, Setting>): Token[] {
  const options = Object.fromEntries(
    [...byFlag].map(([flag, { kind }]) => [
      flag,
      { type: kind === "switch" ? "boolean" as const : "string" as const, multiple: kind === "list" },
    ]),
  );
  // Not strict: its messages cannot name the nearest flag. Every token is checked by the caller instead.
  return parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true })
    .tokens as Token[];
}

/** Whether a word stands where a flag can stand: not behind `--`, and not as the value of a flag. */
function asksFor(argv: readonly string[], word: string, byFlag: ReadonlyMap<string, Setting>): boolean {
  const end = argv.indexOf("--");
  return argv.slice(0, end < 0 ? argv.length : end).some((it, index) => {
    if (it !== word) return false;
    const before = byFlag.get((argv[index - 1] ?? "").replace(/^--/, ""));
    return before === undefined || before.kind === "switch" || word.startsWith("--");
  });
}

/** `-http` would be read as five flags of one letter each. There are none but `-h`. */
function refuseShortFlags(argv: readonly string[], byFlag: ReadonlyMap<string, Setting>): void {
  for (const word of argv) {
    if (word === "--") return;
    if (!/^-[^-]/.test(word)) continue;
    const name = word.slice(1).split("=")[0] ?? "";
    const meant = byFlag.has(name) ? `: did you mean --${name}` : didYouMean(name, byFlag.keys(), "--");
    throw new UsageError(
      `unknown flag ${printableFlag(word)}${meant || ": flags have two dashes, --help lists them"}`,
    );
  }
}

function lookUp(
  rawName: string,
  byFlag: ReadonlyMap<string, Setting>,
): { setting: Setting; negated: boolean } {
  const name = rawName.replace(/^--/, "");
  const setting = byFlag.get(name);
  if (setting !== undefined) return { setting, negated: false };
  const positive = name.startsWith("no-") ? byFlag.get(name.slice(3)) : undefined;
  if (positive?.kind === "switch") return { setting: positive, negated: true };
  const meant = nearest(name, [...byFlag.keys(), ...ALWAYS]);
  const cure = meant === undefined ? ": --help lists all of them" : `: did you mean --${meant}`;
  throw new UsageError(`unknown flag ${printableFlag(rawName)}${cure}`);
}

/** The text of one flag; a switch gives a boolean, or its inline text for the schema to judge. */
function textFor(setting: Setting, negated: boolean, token: OptionToken): string | boolean {
  const { value, inlineValue } = token;
  if (setting.kind === "switch") {
    if (!negated) return inlineValue === true && value !== undefined ? value : true;
    if (inlineValue !== true) return false;
    throw new UsageError(`--no-${setting.flag} takes no value: write --${setting.flag}=false`);
  }
  const shape = `--${setting.flag} ${setting.metavar}`;
  if (value === undefined || value === "") throw new UsageError(`--${setting.flag} needs a value: ${shape}`);
  if (inlineValue !== true && /^--?[^-\s]/.test(value)) {
    throw new UsageError(
      `--${setting.flag} needs a value, and ${printableFlag(value)} looks like a flag: ${shape}, or ` +
        `--${setting.flag}=VALUE for a value that begins with a dash`,
    );
  }
  return value;
}

/** A switch takes a value only behind `=`: the next word would be read as something else. */
function refuseValueApart(setting: Setting, value: string): void {
  if (value !== "true" && value !== "false" && value !== setting.metavar) return;
  throw new UsageError(
    `--${setting.flag} takes a value only in the same word: write --${setting.flag}=${value}`,
  );
}

function* placeWords(
  settings: readonly Setting[],
  words: readonly string[],
  spec: CommandSpec,
  commands: readonly string[],
): Generator<[string, string | string[]]> {
  let used = 0;
  for (const setting of settings) {
    if (!setting.positional || used >= words.length) continue;
    if (setting.kind === "list") {
      yield [setting.flag, words.slice(used)];
      used = words.length;
    } else {
      yield [setting.flag, words[used] ?? ""];
      used += 1;
    }
  }
  const extra = words[used];
  if (extra === undefined) return;
  // A part of a longer name, such as `revoke`, or a command behind the flags instead of before them.
  const meant =
    nearest(`${spec.name} ${extra}`, commands.filter((name) => name.startsWith(`${spec.name} `))) ??
      nearest(extra, commands);
  if (meant !== undefined) {
    const shown = quoted(extra, WORD_CHARS_SHOWN);
    throw new UsageError(
      `unexpected argument ${shown}: did you mean the command ${meant} (it stands first)`,
    );
  }
  throw new UsageError(
    `unexpected argument ${quoted(extra, WORD_CHARS_SHOWN)}: a value follows its flag, --help lists them`,
  );
}

/** The flag alone, without what follows `=`, which may be a secret. */
function printableFlag(word: string): string {
  return quoted(word.split("=")[0] ?? "", WORD_CHARS_SHOWN + 8).slice(1, -1);
}
