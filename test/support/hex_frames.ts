/**
 * Reads test/fixtures/frames/*.hex: bytes in hexadecimal, with spaces and line ends between, and `#` before a remark.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname!, "..", "fixtures", "frames");

/** The bytes of a text in hexadecimal. @throws {SyntaxError} When it is none. */
export function parseHex(text: string): Uint8Array {
  const digits = text.replaceAll(/#[^\n]*/g, "").replaceAll(/\s+/g, "");
  if (digits.length % 2 !== 0 || !/^[0-9a-f]*$/.test(digits)) {
    throw new SyntaxError("Cannot read hexadecimal: it is not pairs of digits");
  }
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** The names of all fixtures, without `.hex`. */
export function hexNames(): string[] {
  return readdirSync(FOLDER).filter((name) => name.endsWith(".hex")).map((name) => name.slice(0, -4)).sort();
}

/** The bytes of a fixture. */
export function readHex(name: string): Uint8Array {
  return parseHex(readFileSync(join(FOLDER, `${name}.hex`), "utf8"));
}
