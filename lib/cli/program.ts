/**
 * Runs a program: picks the command, answers `--help` and `--version`, and turns what a user did wrong into one clear
 * message and the right exit code.
 *
 * @module
 */
import {
  type CommandSpec,
  parseArguments,
  type ProgramSpec,
  selectCommand,
  UsageError,
} from "./arguments.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import { renderHelp } from "./help.ts";
import type { Logger } from "../log.ts";
import type { FlagValues } from "../settings.ts";

export interface RunOptions {
  program: ProgramSpec;
  version: string;
  argv: readonly string[];
  /** Does the work of each command of the program, by its name. */
  commands: Readonly<Record<string, (flags: FlagValues) => Promise<ExitCode>>>;
  /**
   * Explains an error that a user can mend. Anything else is a bug and is shown with its stack.
   *
   * @returns The message and the exit code, or `undefined` for a bug.
   */
  explain(error: unknown): { message: string; code: ExitCode } | undefined;
}

/** Runs the program, prints what there is to say, and returns the exit code. Never rejects. */
export async function runProgram(options: RunOptions): Promise<ExitCode> {
  const { program, version, argv, commands } = options;
  let command: CommandSpec = program.defaultCommand;
  try {
    const selected = selectCommand(program, argv);
    command = selected.command;
    const args = parseArguments(command, selected.argv, program.commands.map(({ name }) => name));
    if (args.help) {
      process.stdout.write(renderHelp(program, command, process.stdout.columns));
      return EXIT.stopped;
    }
    if (args.version) {
      process.stdout.write(`${program.name} ${version}\n`);
      return EXIT.stopped;
    }
    return await commands[command.name]!(args.flags);
  } catch (error) {
    if (error instanceof UsageError) {
      const words = command === program.defaultCommand ? program.name : `${program.name} ${command.name}`;
      process.stderr.write(`${program.name}: ${error.message}\nSee ${words} --help\n`);
      return EXIT.usage;
    }
    const known = options.explain(error);
    if (known === undefined) {
      process.stderr.write(
        `${program.name}: a bug: ${error instanceof Error ? error.stack : String(error)}\n`,
      );
      return EXIT.failed;
    }
    process.stderr.write(`${program.name}: ${known.message}\n`);
    return known.code;
  }
}

/**
 * Waits for SIGTERM or SIGINT, then stops; a second signal ends the process at once.
 *
 * From here on a bug in one exchange is logged with its stack and takes nothing else down with it.
 *
 * @param stop Finishes what is under way, in this time at most.
 */
export async function untilStopped(
  log: Logger,
  stop: (graceMs: number) => Promise<void>,
  graceMs: number,
): Promise<ExitCode> {
  process.on("uncaughtException", (error) => log.error("fault", { error }));
  process.on("unhandledRejection", (error) => log.error("fault", { error }));
  await new Promise<void>((resolve, reject) => {
    let asked = false;
    const onSignal = (signal: string): void => {
      if (asked) process.exit(EXIT.failed);
      asked = true;
      log.info("stopping", { signal, graceMs });
      stop(graceMs).then(resolve, reject);
    };
    // As PID 1 a process has no default for these.
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
  return EXIT.stopped;
}

let started = false;

/**
 * Runs `main` if the module is the program, and ends the process with its exit code.
 *
 * In a bundle every module looks like the program; only the first one that gets here is. It is not awaited at the top
 * level: Bun defers the exit on an uncaught error for as long as a top-level await is pending.
 */
export function runAsMain(isMain: boolean, main: (argv: string[]) => Promise<ExitCode>): void {
  if (!isMain || started) return;
  started = true;
  // Whoever read the log may go away. Without a listener each lost line is an uncaught error, which would be logged.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  main(process.argv.slice(2)).then((code) => {
    process.exitCode = code;
    // What was printed to a pipe must get out before the process ends.
    process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
  });
}
