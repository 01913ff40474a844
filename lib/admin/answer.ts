/**
 * What a command has to say: text for standard output, and warnings beside it.
 *
 * @module
 */
import { z } from "zod";
import { printable } from "../printable.ts";

export interface Answer {
  /** Whole lines. */
  readonly text: string;
  /** For standard error, a line each. */
  readonly warnings: readonly string[];
}

/** Of whatever a gateway answers; one that is older gives none. */
export const warningsSchema = z.object({ warnings: z.array(z.string()).default([]) });

/** An answer without warnings. */
export function plainAnswer(text: string): Answer {
  return { text, warnings: [] };
}

/** What the gateway answered, as it came: indented, for programs and for people who know the API. */
export function jsonText(raw: unknown): string {
  // JSON leaves alone what a terminal minds; escaped here, it is the same JSON. Line ends are those between values.
  return `${JSON.stringify(raw, null, 2).split("\n").map(printable).join("\n")}\n`;
}

/** To the second, in UTC; a time that is none is shown as it is. */
export function timeText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : `${date.toISOString().slice(0, 19)}Z`;
}
