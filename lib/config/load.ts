/**
 * Puts the settings together: defaults, then the file, then the environment, then the flags.
 *
 * It is done once, at the start, and gives a frozen value. All faults are gathered, each with its place (flag,
 * environment name, or file and line), so that nobody has to fix them one start at a time.
 *
 * @module
 */

import type { z } from "zod";
import { didYouMean } from "../nearest.ts";
import { printable, quoted } from "../printable.ts";
import { ENVIRONMENT_PREFIX, type FlagValues, type Setting, settingsOf } from "../settings.ts";
import { Secret } from "./secret.ts";
import { readYamlFile, type YamlFile, YamlFileError } from "./yaml_file.ts";

/** One thing that is wrong. */
export interface ConfigFault {
  /** The setting as in the file, such as `limits.headTimeout` or `serve[1]`; empty for the file as a whole. */
  readonly path: string;
  /** What is wrong and what to write instead. */
  readonly message: string;
  /** Where it comes from: `netwall.yaml:7`, `--head-timeout`, `NETWALL_HEAD_TIMEOUT`, or `not given`. */
  readonly source: string;
}

/** The settings are wrong. Caught in main: all faults are printed, exit code 2. */
export class ConfigError extends Error {
  override name = "ConfigError";
  constructor(readonly faults: readonly ConfigFault[], options?: ErrorOptions) {
    super(faults.map(faultLine).join("; "), options);
  }
}

/** All faults, one line each, without a line end after the last. */
export function formatConfigError(error: ConfigError): string {
  return error.faults.map(faultLine).join("\n");
}

/**
 * Environment names that every program allows, because one environment is often shared by a gateway and an agent.
 */
export const ENVIRONMENT_SHARED: readonly string[] = [
  "NETWALL_TOKEN",
  // How commands find the gateway.
  "NETWALL_ADMIN",
  "NETWALL_DATA",
  "NETWALL_ADMIN_TOKEN",
  "NETWALL_ADMIN_TOKEN_FILE",
];

/**
 * What Kubernetes sets in every pod for a service called `netwall` or `netwall-gateway`. These are no settings.
 *
 * Source: Kubernetes documentation, "Service: Environment variables" (the names of Docker links).
 */
const SERVICE_LINK =
  /_SERVICE_(?:HOST|PORT)(?:_[A-Z0-9_]+)?$|_PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?$/;

/** Faults that are reported; more are counted. */
const FAULTS_MAX = 100;

export interface LoadOptions<S extends z.ZodObject> {
  readonly schema: S;
  /** From the command line, by flag name; see `parseArguments`. */
  readonly flags: FlagValues;
  /** The whole environment; names without `NETWALL_` are not looked at. An empty value is as if it were not set. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The settings file. @default `--config`, else `NETWALL_CONFIG`, if the schema has a key `config` */
  readonly file?: string | undefined;
  /** More environment names that are no fault, such as those of another command; see `environmentOf`. */
  readonly environmentOthers?: readonly string[];
}

/**
 * Loads the settings of a program.
 *
 * A list in the environment is separated by commas. A stronger source replaces a list, it does not add to it.
 *
 * @returns The settings, frozen all through.
 * @throws {ConfigError} With every fault that was found. Values that do not fit together are looked at once each
 *   value alone is right.
 */
export function loadConfig<S extends z.ZodObject>(options: LoadOptions<S>): Readonly<z.output<S>> {
  const settings = settingsOf(options.schema);
  const faults: ConfigFault[] = [];
  const merged = new Merged();

  const path = filePathOf(options, settings);
  if (path !== undefined) mergeFile(settings, readFile(path), path, merged, faults);
  mergeEnvironment(settings, options, merged, faults);
  for (const setting of settings) {
    const value = Object.hasOwn(options.flags, setting.flag) ? options.flags[setting.flag] : undefined;
    const source = setting.positional ? setting.metavar : `--${setting.flag}`;
    if (value !== undefined) merged.set(setting, value, () => source);
  }

  const result = options.schema.safeParse(merged.value);
  for (const issue of result.error?.issues ?? []) {
    faults.push({ path: pathText(issue.path), message: issue.message, source: merged.sourceOf(issue.path) });
  }
  if (faults.length > 0 || !result.success) throw new ConfigError(bounded(faults));
  return freeze(result.data) as Readonly<z.output<S>>;
}

/** The values so far, nested as the schema is, and where each comes from. */
class Merged {
  readonly value: Record<string, unknown> = {};
  readonly #sources = new Map<string, (path: readonly PropertyKey[]) => string>();

  set(setting: Setting, value: unknown, source: (path: readonly PropertyKey[]) => string): void {
    let at = this.value;
    for (const key of setting.path.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
    at[setting.path.at(-1) ?? ""] = value;
    this.#sources.set(setting.path.join("."), source);
  }

  sourceOf(path: readonly PropertyKey[]): string {
    for (let length = path.length; length > 0; length -= 1) {
      const source = this.#sources.get(path.slice(0, length).join("."));
      if (source !== undefined) return source(path);
    }
    return "not given";
  }
}

function filePathOf(options: LoadOptions<z.ZodObject>, settings: readonly Setting[]): string | undefined {
  if (options.file !== undefined) return options.file;
  if (!settings.some((setting) => setting.flag === "config")) return undefined;
  const flag = options.flags["config"];
  return typeof flag === "string" ? flag : options.env[`${ENVIRONMENT_PREFIX}CONFIG`] || undefined;
}

/** A file that cannot be used ends the search for faults: most others would only follow from it. */
function readFile(path: string): YamlFile {
  try {
    return readYamlFile(path);
  } catch (error) {
    if (!(error instanceof YamlFileError)) throw error;
    const source = printable(error.line === undefined ? path : `${path}:${error.line}`);
    throw new ConfigError([{ path: "", message: error.message, source }], { cause: error });
  }
}

/** Takes the known keys of the file, and reports the others with the nearest right name. */
function mergeFile(
  settings: readonly Setting[],
  file: YamlFile,
  path: string,
  merged: Merged,
  faults: ConfigFault[],
): void {
  const sourceOf = (at: readonly PropertyKey[]): string => {
    const line = file.lineOf(at);
    return printable(line === undefined ? path : `${path}:${line}`);
  };
  const inFile = settings.filter((setting) => !setting.positional && setting.flag !== "config");
  const sections = new Set(
    inFile.flatMap(({ path: [first = ""], path: { length } }) => length > 1 ? first : []),
  );
  const take = (map: Readonly<Record<string, unknown>>, above: readonly string[]): void => {
    const prefix = above.map((key) => `${key}.`).join("");
    const byKey = new Map(
      inFile.filter((it) => pathText(it.path.slice(0, -1)) === pathText(above)).map((
        it,
      ) => [it.path.at(-1) ?? "", it]),
    );
    for (const [key, value] of Object.entries(map)) {
      const at = [...above, key];
      const fault = (message: string): void => {
        faults.push({ path: pathText(at), message, source: sourceOf(at) });
      };
      const setting = byKey.get(key);
      if (setting !== undefined) {
        if (value === null) fault("has no value: write one, or leave the key out");
        else merged.set(setting, value, sourceOf);
      } else if (above.length === 0 && sections.has(key)) {
        if (typeof value === "object" && value !== null && !Array.isArray(value)) {
          take(value as Record<string, unknown>, [key]);
        } else if (value !== null) fault("is a section: write its keys below it, indented");
      } else {
        const elsewhere = inFile.find((it) => it.path.at(-1) === key);
        const cure = elsewhere === undefined
          ? didYouMean(key, above.length === 0 ? [...byKey.keys(), ...sections] : byKey.keys(), prefix)
          : `: did you mean ${pathText(elsewhere.path)}`;
        fault(`unknown key ${quoted(key)}${cure || ": remove it, --help lists all settings"}`);
      }
    }
  };
  take(file.root, []);
}

function mergeEnvironment(
  settings: readonly Setting[],
  options: LoadOptions<z.ZodObject>,
  merged: Merged,
  faults: ConfigFault[],
): void {
  const byName = new Map(
    settings.flatMap((it) => it.environment === undefined ? [] : [[it.environment, it]]),
  );
  const others = new Set([...ENVIRONMENT_SHARED, ...options.environmentOthers ?? []]);
  for (const [name, text] of Object.entries(options.env)) {
    if (!name.startsWith(ENVIRONMENT_PREFIX) || text === undefined || text === "") continue;
    const setting = byName.get(name);
    if (setting !== undefined) {
      if (setting.environmentNot?.test(text)) continue;
      const value = setting.kind === "list" ? text.split(",").map((it) => it.trim()).filter(Boolean) : text;
      merged.set(setting, value, () => name);
    } else if (!others.has(name) && !SERVICE_LINK.test(name)) {
      const cure = didYouMean(name, byName.keys()) || ": unset it, --help lists all names";
      faults.push({ path: "", message: `unknown setting${cure}`, source: printable(name) });
    }
  }
}

function faultLine(fault: ConfigFault): string {
  return fault.path === ""
    ? `${fault.source}: ${fault.message}`
    : `${fault.path} (${fault.source}): ${fault.message}`;
}

function pathText(path: readonly PropertyKey[]): string {
  return path.map((key, index) =>
    typeof key === "number" ? `[${key}]` : `${index === 0 ? "" : "."}${printable(String(key))}`
  ).join("");
}

function bounded(faults: readonly ConfigFault[]): ConfigFault[] {
  const rest = faults.length - FAULTS_MAX;
  if (rest <= 0) return [...faults];
  const more = { path: "", message: "more faults: correct these first", source: `${rest}` };
  return [...faults.slice(0, FAULTS_MAX), more];
}

/** Freezes plain objects and lists all through. A secret keeps itself. */
function freeze(value: unknown): unknown {
  if (typeof value !== "object" || value === null || value instanceof Secret) return value;
  Object.values(value).forEach(freeze);
  return Object.freeze(value);
}
