/**
 * What in the environment would open an executable to others before its own code runs.
 *
 * An executable made by `bun build --compile` still obeys a few variables of Bun. In an image without a shell
 * they are the shortest way in, so the two scripts refuse to start when one is set. From source they mean what
 * the developer wants, and nothing is refused.
 *
 * Measured on Bun 1.4, on an executable built without `.env` and `bunfig.toml` loading:
 *
 * - `BUN_INSPECT=HOST:PORT` opens a debugger on that address from another thread, at about the time the first
 *   line of the program runs. A program that exits at once closes it again: the time it is open is a few
 *   milliseconds, and it is not zero. With `?wait=1` the debugger waits and **the program never runs**, so
 *   nothing can be refused.
 * - `BUN_INSPECT_NOTIFY` makes the process dial an address before the program runs.
 * - `BUN_OPTIONS=--preload=FILE` runs that file **before** the program. The refusal comes after it, if the file
 *   lets it come at all. `--inspect` in it did nothing.
 * - `BUN_BE_BUN=1` turns the executable into the whole of Bun: **the program never runs**. Any other value does
 *   nothing.
 *
 * So a refusal here tells an honest operator of a mistake. It does not stop whoever controls the environment:
 * they could as well set `LD_PRELOAD`, or start another program.
 *
 * @module
 */
import process from "node:process";

/** Names that count, and names that begin with `BUN_INSPECT`. */
const FAULTY_NAMES = ["BUN_OPTIONS", "BUN_BE_BUN"];

/**
 * Lists the variables that let others into an executable made by Bun.
 *
 * @param env The environment to judge, usually `process.env`.
 * @returns Names only, sorted, as values may hold secrets. Empty when nothing is wrong. A variable with an
 *   empty value counts as absent, as it does for Bun.
 */
export function environmentFaults(env: Readonly<Record<string, string | undefined>>): string[] {
  return Object.keys(env)
    .filter((name) => (name.startsWith("BUN_INSPECT") || FAULTY_NAMES.includes(name)) && env[name])
    .sort();
}

/**
 * Tells whether this process is an executable of its own, not a script run by a runtime.
 *
 * @param moduleUrl `import.meta.url` of any bundled module. Bun gives a path under `$bunfs` there. For Deno it
 *   does not matter: the runtime says so itself.
 */
export function isExecutable(moduleUrl: string = import.meta.url): boolean {
  const { Deno: deno } = globalThis as { Deno?: { build?: { standalone?: boolean } } };
  if (deno !== undefined) return deno.build?.standalone === true;
  return moduleUrl.includes("/$bunfs/") || moduleUrl.includes("/~BUN/");
}

/**
 * Says why this process must not go on, if so.
 *
 * @returns A message for the operator, or undefined when the environment is fine or this is no executable.
 */
export function refusalToStart(
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  const faults = isExecutable() ? environmentFaults(env) : [];
  if (faults.length === 0) return undefined;
  return `Cannot start: ${faults.join(", ")} would open this process to others, unset ${
    faults.length === 1 ? "it" : "them"
  } and start again`;
}
