/**
 * The audit log as a file: evidence of who changed what, for whoever has to show it elsewhere.
 *
 * @module
 */
import { ask } from "../core/api.ts";
import { saveFile } from "../events/export.ts";

/** Of one answer, as many as the API gives. */
const PAGE = 500;
/** More would keep the browser busy; the file says where it was cut off. */
const ENTRIES_MAX = 20_000;

interface Page {
  readonly items: readonly object[];
  readonly next?: string;
}

/** @returns Whether there are more entries than the file holds. @throws {ApiError} */
export async function saveAuditLog(): Promise<boolean> {
  const items: object[] = [];
  let before: string | undefined;
  do {
    const page = await ask<Page>("GET", "/audit", { query: { limit: PAGE, before } });
    items.push(...page.items);
    before = page.next;
  } while (before !== undefined && items.length < ENTRIES_MAX);
  saveFile(new Blob([auditText(items, before)], { type: "application/x-ndjson" }), "netwall-audit.ndjson");
  return before !== undefined;
}

/** One entry a line, the newest first. @param next Where it was cut off, when it was. */
export function auditText(items: readonly object[], next: string | undefined): string {
  const lines = next === undefined ? items : [...items, { cutOff: true, before: next }];
  return lines.map((item) => `${JSON.stringify(item)}\n`).join("");
}
