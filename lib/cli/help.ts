/**
 * Renders `--help` from the same specs that the command line is read with.
 *
 * @module
 */

import type { CommandSpec, ProgramSpec } from "./arguments.ts";
import { type Setting, settingsOf } from "../settings.ts";

/** The widths a help text is made for, in columns; narrower or wider terminals get the nearest. */
export const HELP_COLUMNS_MIN = 40;
export const HELP_COLUMNS_MAX = 120;
/** Flags up to this many columns have their text beside them, longer ones below. */
const FLAG_COLUMNS_MAX = 32;
const INDENT = "  ";

/**
 * The help of one command: summary, usage, arguments, options, examples.
 *
 * @param program For its name, and to leave out the name of the default command.
 * @param columns The width of the terminal. @default 80
 * @returns Lines, with a line end after each.
 */
export function renderHelp(program: ProgramSpec, command: CommandSpec, columns: number = 80): string {
  const width = clampColumns(columns);
  const settings = settingsOf(command.options);
  const positionals = settings.filter((setting) => setting.positional);
  const flags = settings.filter((setting) => !setting.positional);
  const isDefault = command === program.defaultCommand;
  const name = isDefault ? `[${command.name}]` : command.name;
  const usage = [program.name, name, ...(flags.length > 0 ? ["[OPTION]…"] : []), ...positionals.map(wordOf)];
  const sections = [
    ...wrap(isDefault ? program.summary : command.summary, width, ""),
    "",
    `Usage: ${usage.join(" ")}`,
  ];
  if (positionals.length > 0) {
    sections.push(
      "",
      "Arguments:",
      ...positionals.flatMap((it) => entry(it, width)),
    );
  }
  sections.push("", "Options:", ...flags.flatMap((it) => entry(it, width)));
  sections.push(...columnsOf("--help", "Print this text", width));
  sections.push(...columnsOf("--version", "Print the version", width));
  if (isDefault) sections.push(...commandLines(program, width));
  if (command.examples.length > 0) {
    sections.push("", "Examples:", ...command.examples.map((line) => `${INDENT}${line}`));
  }
  return `${sections.join("\n")}\n`;
}

function commandLines(program: ProgramSpec, width: number): string[] {
  const lines = program.commands.flatMap((command) => columnsOf(command.name, command.summary, width));
  const more = `${program.name} COMMAND --help`;
  return ["", "Commands:", ...lines, "", `${more} tells more about each.`];
}

function wordOf(setting: Setting): string {
  const word = setting.required ? setting.metavar : `[${setting.metavar}]`;
  return setting.kind === "list" ? `${word}…` : word;
}

function entry(setting: Setting, width: number): string[] {
  const value = setting.kind === "switch" ? "" : ` ${setting.metavar}${setting.kind === "list" ? "…" : ""}`;
  const left = setting.positional ? setting.metavar : `--${setting.flag}${value}`;
  const shownDefault = setting.defaultText === undefined ? "" : ` (default ${setting.defaultText})`;
  const environment = setting.environment === undefined ? "" : ` [${setting.environment}]`;
  return columnsOf(left, `${setting.description}${shownDefault}${environment}`, width);
}

/** Two columns; on a narrow terminal, or when the left one is long, the text goes below. */
function columnsOf(left: string, text: string, width: number): string[] {
  const column = width < 72 ? 6 : FLAG_COLUMNS_MAX + 4;
  const pad = " ".repeat(column);
  const lines = wrap(text, width, pad);
  const head = `${INDENT}${left}`;
  if (head.length > column - 2) return [head, ...lines];
  return [`${head.padEnd(column)}${(lines[0] ?? "").slice(column)}`.trimEnd(), ...lines.slice(1)];
}

/** Breaks a text at spaces. A word longer than the line stays whole, so that it can be copied. */
function wrap(text: string, width: number, pad: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && pad.length + line.length + 1 + word.length > width) {
      lines.push(pad + line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  if (line !== "") lines.push(pad + line);
  return lines;
}

function clampColumns(columns: number): number {
  if (!Number.isFinite(columns)) return 80;
  return Math.min(HELP_COLUMNS_MAX, Math.max(HELP_COLUMNS_MIN, Math.floor(columns)));
}
