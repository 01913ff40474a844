/**
 * Saves events as a file: what the API exports, with the filters of the view.
 *
 * @module
 */
import { respond } from "../core/api.ts";

export type ExportFormat = "csv" | "ndjson";

/** A hundred thousand events take their time. */
const TIMEOUT_MS = 10 * 60_000;
/** The last line stands in it. */
const TAIL_BYTES = 4_096;
/** An address of a file is let go when the browser has begun to save it. */
const SAVED_MS = 60_000;

/** @returns Whether there are more events than the file holds. @throws {ApiError} And what a cut connection throws. */
export async function exportEvents(
  format: ExportFormat,
  query: Readonly<Record<string, string | number>>,
): Promise<boolean> {
  const response = await respond("GET", `/events.${format}`, {
    query,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const blob = await response.blob();
  saveFile(blob, `netwall-events.${format}`);
  return saysCut(await blob.slice(-TAIL_BYTES).text(), format);
}

/** Gives a file to the browser. */
export function saveFile(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), SAVED_MS);
}

/** Whether the last line of a file says that it was cut. @param tail The end of it. */
export function saysCut(tail: string, format: ExportFormat): boolean {
  const line = tail.trimEnd().split("\n").at(-1) ?? "";
  return format === "csv" ? line.startsWith('"cut off here: ') : /^\{"cutOff":true[,}]/.test(line);
}
