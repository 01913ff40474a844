/**
 * Tables for people: columns as wide as their widest cell, two blanks between them.
 *
 * @module
 */
import { printable } from "../printable.ts";

/**
 * Renders a table.
 *
 * @param rows The head first. Cells are made printable.
 * @returns Lines with a line end after each, and no blank before it.
 */
export function table(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(printable));
  const widths = (cells[0] ?? []).map((_, column) =>
    cells.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0)
  );
  return cells.map((row) =>
    `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()}\n`
  )
    .join("");
}
