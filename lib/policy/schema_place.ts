/**
 * What a schema has at a place of a document: which keys may stand there, and what each way to write it finds wrong.
 *
 * @module
 */
import { z } from "zod";

/** The schema at a path, without what says only that it may be left out. @returns `undefined` when there is none. */
export function schemaAt(schema: z.ZodType, path: readonly PropertyKey[]): z.ZodType | undefined {
  let at: unknown = unwrapped(schema);
  for (const step of path) {
    if (at instanceof z.ZodObject) at = Object.hasOwn(at.shape, step) ? at.shape[String(step)] : undefined;
    else if (at instanceof z.ZodArray) at = at.element;
    else if (at instanceof z.ZodRecord) at = at.valueType;
    else return undefined;
    at = unwrapped(at);
  }
  return at instanceof z.ZodType ? at : undefined;
}

function unwrapped(schema: unknown): unknown {
  let at = schema;
  while (at instanceof z.ZodDefault || at instanceof z.ZodPrefault || at instanceof z.ZodOptional) {
    at = at.unwrap();
  }
  return at;
}

/** The keys that may stand together there: one list for an object, several for a choice of them. */
export function keysOf(schema: z.ZodType | undefined): string[][] {
  if (schema instanceof z.ZodObject) return [Object.keys(schema.shape)];
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => keysOf(option as z.ZodType));
  return [];
}

/** The value at a path. */
export function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let at = root;
  for (const step of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<PropertyKey, unknown>)[step];
  }
  return at;
}

/**
 * What each branch of a choice finds wrong with a value: told of all of them, where the schema itself tells only of the
 * one that differs by keys alone, as if that was meant.
 *
 * @returns `undefined` when it is no choice, or the value is right for one of them.
 */
export function branchIssues(
  schema: z.ZodType | undefined,
  value: unknown,
): z.core.$ZodIssue[][] | undefined {
  if (!(schema instanceof z.ZodUnion)) return undefined;
  const found = schema.options.map((option) => (option as z.ZodType).safeParse(value).error?.issues ?? []);
  return found.every((issues) => issues.length > 0) ? found : undefined;
}
