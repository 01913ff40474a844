/**
 * Events as a file: lines of JSON, or CSV for a spreadsheet.
 *
 * They are read from the store a page at a time, when the connection takes them. What is cut at the bound says so in
 * its last line, and one that the store cannot finish ends with its connection: neither looks whole.
 *
 * Source: RFC 4180; CWE-1236 (formulas in CSV).
 *
 * @module
 */
import type { NetwallEvent } from "../events/event.ts";
import { printable } from "../printable.ts";
import type { Page } from "../store/store.ts";

/** Events of one export. */
export const EXPORT_EVENTS_MAX = 100_000;
const EXPORT_PAGE = 250;

export interface ExportOptions {
  readonly format: "ndjson" | "csv";
  /** The next page of at most so many, from before an event on. */
  page(limit: number, before: string | undefined): Promise<Page<NetwallEvent>>;
  /** Cuts the connection; without one the stream is made to fail. */
  readonly cut: (() => void) | undefined;
  /** @default 100,000 */
  readonly eventsMax?: number;
}

/**
 * The body of an export, the newest event first.
 *
 * @throws {StoreError} The first page cannot be read: then there is still a status to say it with.
 */
export async function exportEvents(options: ExportOptions): Promise<ReadableStream<Uint8Array>> {
  const { format, cut, eventsMax = EXPORT_EVENTS_MAX } = options;
  const encoder = new TextEncoder();
  const lineOf = format === "csv" ? csvLine : jsonLine;
  let page: Page<NetwallEvent> | undefined = await options.page(Math.min(EXPORT_PAGE, eventsMax), undefined);
  let head = format === "csv" ? rowOf(COLUMNS.map(([name]) => name)) : "";
  let left = eventsMax;
  return new ReadableStream<Uint8Array>({
    async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
      if (page === undefined) return controller.close();
      left -= page.items.length;
      const { next } = page;
      const text = head + page.items.map(lineOf).join("") +
        (next !== undefined && left <= 0 ? cutLine(format, next) : "");
      head = "";
      try {
        page = next === undefined || left <= 0
          ? undefined
          : await options.page(Math.min(EXPORT_PAGE, left), next);
      } catch (error) {
        if (cut === undefined) throw error;
        // A stream that fails would be reported on the console by the server; a cut connection says as much.
        page = undefined;
        cut();
      }
      if (text !== "") controller.enqueue(encoder.encode(text));
      else controller.close();
    },
  }, { highWaterMark: 0 });
}

/** JSON escapes C0 itself; what is left could still drive the terminal of who looks at the file. */
function jsonLine(event: NetwallEvent): string {
  return `${printable(JSON.stringify(event))}\n`;
}

function cutLine(format: "ndjson" | "csv", next: string): string {
  return format === "csv"
    ? rowOf([`cut off here: go on with before=${next}`])
    : `${JSON.stringify({ cutOff: true, next })}\n`;
}

const COLUMNS: readonly (readonly [string, (event: NetwallEvent) => string | number | undefined])[] = [
  ["time", ({ time }) => new Date(time).toISOString()],
  ["firstTime", ({ firstTime }) => new Date(firstTime).toISOString()],
  ["count", ({ count }) => count],
  ["type", ({ type }) => type],
  ["severity", ({ severity }) => severity],
  ["direction", ({ direction }) => direction],
  ["protocol", ({ protocol }) => protocol],
  ["mode", ({ mode }) => mode],
  ["effect", ({ effect }) => effect],
  ["verdict", ({ verdict }) => verdict],
  ["pendingVerdict", ({ pendingVerdict }) => pendingVerdict],
  ["rule", ({ rule }) => rule.id ?? rule.kind],
  ["source", ({ source }) => source?.name],
  ["sourceIp", ({ source }) => source?.ip],
  ["sourceNamespace", ({ source }) => source?.namespace],
  ["sourceImage", ({ source }) => source?.image],
  ["sourceContainerId", ({ source }) => source?.claimedContainerId],
  ["sourceContainerName", ({ source }) => source?.claimedContainerName],
  ["sourceHostname", ({ source }) => source?.claimedHostname],
  ["destination", ({ destination }) => destination?.name],
  ["destinationService", ({ destination }) => destination?.service],
  ["destinationPort", ({ destination }) => destination?.port],
  ["destinationNamespace", ({ destination }) => destination?.namespace],
  ["destinationImage", ({ destination }) => destination?.image],
  ["method", ({ http }) => http?.method],
  ["host", ({ http }) => http?.host],
  ["path", ({ http }) => http?.path],
  ["status", ({ http }) => http?.status],
  ["requestId", ({ http }) => http?.requestId],
  ["message", ({ message }) => message],
  ["policyVersion", ({ policyVersion }) => policyVersion],
  ["id", ({ id }) => id],
];

function csvLine(event: NetwallEvent): string {
  return rowOf(COLUMNS.map(([, value]) => value(event)));
}

function rowOf(cells: readonly (string | number | undefined)[]): string {
  return `${cells.map(cellOf).join(",")}\r\n`;
}

/**
 * Texts come from whoever sent a request, and a spreadsheet runs one that begins as a formula: an apostrophe in front
 * makes it a text. Also after blanks, and in the full width that some of them read as the same signs. Nothing of it ends
 * the line or acts on a terminal, as people look at such files with other tools too.
 */
function cellOf(value: string | number | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "number") return String(value);
  const isFormula = /^[\s\p{Cc}\p{Cf}]*[=+\-@|%＝＋－＠]|^[\t\r\n]/u.test(value);
  return `"${isFormula ? "'" : ""}${printable(value).replaceAll('"', '""')}"`;
}
