/**
 * Tables for people: columns as wide as their widest cell, two blanks between them.
 *
 * @module
 */
import { printable } from "../printable.ts";

/** The last column is cut to no less than this, however wide the others are. */
const LAST_COLUMNS_MIN = 16;

/**
 * Renders a table.
 *
 * @param rows The head first. Cells are made printable.
 * @param columnsMax The last column is cut so that no line is wider, if the others leave room. @default none
 * @returns Lines with a line end after each, and no blank before it.
 */
export function table(rows: readonly (readonly string[])[], columnsMax: number = Infinity): string {
  const cells = rows.map((row) => row.map(printable));
  const widths = (cells[0] ?? []).map((_, column) =>
    cells.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0)
  );
  const room = Math.max(
    LAST_COLUMNS_MIN,
    columnsMax - widths.slice(0, -1).reduce((sum, width) => sum + width + 2, 0),
  );
  return cells.map((row) => row.with(-1, cut(row.at(-1) ?? "", room))).map((row) =>
    `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()}\n`
  )
    .join("");
}

function cut(text: string, charsMax: number): string {
  return text.length > charsMax ? `${text.slice(0, charsMax - 1)}…` : text;
}
