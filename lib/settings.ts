/**
 * Reads a zod schema as a list of settings: each with its flag, its environment name and its help text.
 *
 * The schema is the only place where a setting is written down. A section of the schema nests in the file and is
 * flat on the command line: `limits: { headTimeout }` is `--head-timeout` and `NETWALL_HEAD_TIMEOUT`. What zod
 * does not know is in the schema's metadata, see `FlagMeta`.
 *
 * @module
 */

import { z } from "zod";
import { assert } from "./assert.ts";

/** What every environment name begins with. */
export const ENVIRONMENT_PREFIX = "NETWALL_";

/** The metadata of a schema (`.meta({…})`) that the command line reads. All of it is optional. */
export interface FlagMeta {
  /** One line for the help. */
  readonly description?: string | undefined;
  /** The name of the value in the help, such as `ADDR`. */
  readonly metavar?: string | undefined;
  /** On the schema of a single value: true for a switch that needs no value. */
  readonly switch?: boolean | undefined;
  /** On a key: true for an argument without a flag. It has no environment name. */
  readonly positional?: boolean | undefined;
  /** On a key: false for a flag that is of one call alone and has no environment name. @default true */
  readonly environment?: boolean | undefined;
  /** On a key: a value of this form in the environment is meant for another program, and as if it were not set. */
  readonly environmentNot?: RegExp | undefined;
  /** On a section: what its flags begin with, such as `log-`. */
  readonly flagPrefix?: string | undefined;
}

/** One setting. */
export interface Setting {
  /** Where it is in the file, such as `["limits", "headTimeout"]`. */
  readonly path: readonly string[];
  /** The flag without its dashes, or for a positional the name of its key. */
  readonly flag: string;
  /** Its environment name, or `undefined` when it has none. */
  readonly environment: string | undefined;
  readonly environmentNot: RegExp | undefined;
  readonly kind: "value" | "switch" | "list";
  readonly positional: boolean;
  /** Whether it must be given: it has no default and may not be left out. */
  readonly required: boolean;
  readonly metavar: string;
  readonly description: string;
  /** The default as it would be written, or `undefined` when there is none to show. */
  readonly defaultText: string | undefined;
}

/** The texts that a command line gives, by flag name without dashes; a positional goes by its key. */
export type FlagValues = Readonly<Record<string, string | boolean | readonly string[]>>;

/**
 * The settings of a schema in the order they are written there.
 *
 * @param schema A `strictObject` of values, lists and at most one level of sections, which are objects too.
 */
export function settingsOf(schema: z.ZodObject): Setting[] {
  const settings = collect(schema, [], "");
  const flags = new Set(settings.map((setting) => setting.flag));
  assert(flags.size === settings.length, "every setting of a schema has a flag of its own");
  return settings;
}

/**
 * Settings of one call of a command: flags without environment names, as `NETWALL_LIMIT` says nothing of what it
 * limits, and would hold for each command that has such a flag.
 */
export function flagsOnly<S extends z.core.$ZodLooseShape>(shape: S): S {
  const plain = Object.entries(shape).map(([key, value]) => [
    key,
    (value as z.ZodType).meta({ environment: false }),
  ]);
  return Object.fromEntries(plain) as S;
}

/** The environment names of a schema. */
export function environmentOf(schema: z.ZodObject): string[] {
  return settingsOf(schema).flatMap((setting) => setting.environment ?? []);
}

/** `headBytesMax` → `head-bytes-max`. */
export function kebabCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function collect(schema: z.ZodObject, path: string[], prefix: string): Setting[] {
  return Object.entries(schema.shape).flatMap(([key, value]) => {
    const at = [...path, key];
    const shape = shapeOf(value as z.ZodType);
    if (shape.section !== undefined) return collect(shape.section, at, shape.meta.flagPrefix ?? "");
    const positional = shape.meta.positional === true;
    const flag = positional ? key : `${prefix}${kebabCase(key)}`;
    return [{
      path: at,
      flag,
      environment: positional || shape.meta.environment === false ? undefined : environmentName(flag),
      environmentNot: shape.meta.environmentNot,
      kind: shape.list ? "list" : shape.meta.switch ? "switch" : "value",
      positional,
      required: !shape.optional,
      metavar: shape.meta.metavar ?? "VALUE",
      description: shape.meta.description ?? "",
      defaultText: shape.defaultText,
    }];
  });
}

/** `head-timeout` → `NETWALL_HEAD_TIMEOUT`. */
export function environmentName(flag: string): string {
  return `${ENVIRONMENT_PREFIX}${flag.toUpperCase().replaceAll("-", "_")}`;
}

interface Shape {
  meta: FlagMeta;
  list: boolean;
  optional: boolean;
  section: z.ZodObject | undefined;
  defaultText: string | undefined;
}

/** Takes the wrappers off a schema. What an outer one says about itself is kept over what an inner one says. */
function shapeOf(schema: z.ZodType): Shape {
  const shape: Shape = {
    ...{ meta: {}, list: false, optional: false, section: undefined, defaultText: undefined },
  };
  let at: unknown = schema;
  for (;;) {
    if (!(at instanceof z.ZodType)) return shape;
    shape.meta = { ...z.globalRegistry.get(at), ...shape.meta };
    if (at instanceof z.ZodDefault || at instanceof z.ZodPrefault) {
      shape.defaultText ??= textOf(at.def.defaultValue);
      shape.optional = true;
      at = at.unwrap();
    } else if (at instanceof z.ZodOptional || at instanceof z.ZodReadonly) {
      shape.optional ||= at instanceof z.ZodOptional;
      at = at.unwrap();
    } else if (at instanceof z.ZodArray) {
      shape.list = true;
      at = at.element;
    } else if (at instanceof z.ZodPipe) {
      // A preprocess has the value behind it, a transform has it in front.
      at = at.in instanceof z.ZodTransform ? at.out : at.in;
    } else {
      if (at instanceof z.ZodObject) shape.section = at;
      return shape;
    }
  }
}

/** A default as somebody would write it. An empty list, an off switch and a section have nothing to show. */
function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  if (typeof value === "number") return String(value);
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.join(",");
  return value === true ? "true" : undefined;
}
