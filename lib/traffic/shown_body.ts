/**
 * A recorded body as it is shown: decoded, as text where it is text, its secrets masked.
 *
 * What cannot be read cannot be masked: a body in a coding that is not known here is not shown at all. What is no text
 * is shown in base64, unless a secret is found in it.
 *
 * Source: RFC 9110 §8.4.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import zlib from "node:zlib";
import { maskTextSteps } from "./mask_text.ts";
import type { RecordedBody } from "./recorded_body.ts";
import { inTurns, type Turn } from "./steps.ts";

/** Of a body that was compressed. What comes after is cut: a few bytes can be made to hold a gigabyte. */
export const DECODED_BYTES_MAX = 1 << 20;
/** Codings one over the other. */
const CODINGS_MAX = 2;
/** What is given to the decoder at once: what comes out of one piece is all there before the bound is looked at. */
const INPUT_BYTES = 1_024;

export interface ShownBody {
  /** Of the body as it passed, whole. */
  readonly bytes: number;
  /** `hidden`: it is not shown, `note` says why. */
  readonly format: "text" | "base64" | "hidden";
  readonly content: string;
  /** There is more of it than is shown. */
  readonly isCut: boolean;
  /** As sent; it is shown without. */
  readonly contentEncoding?: string | undefined;
  readonly note?: string | undefined;
}

/** What is read of a body that is kept. */
export type KeptBody = Pick<RecordedBody, "bytes" | "totalBytes" | "isCut">;

/**
 * Makes it fit to be shown. To look through a megabyte takes up to 2 s, which is done piece by piece.
 *
 * @param fields Those of its head, raw.
 */
export async function shownBody(
  body: KeptBody,
  fields: readonly string[],
  turn: Turn,
): Promise<ShownBody> {
  const contentType = fieldOf(fields, "content-type");
  const contentEncoding = fieldOf(fields, "content-encoding").toLowerCase();
  const shared = {
    bytes: body.totalBytes,
    ...(contentEncoding === "" ? {} : { contentEncoding: contentEncoding.slice(0, 128) }),
  };
  const codings = contentEncoding.split(",").map((coding) => coding.trim())
    .filter((coding) => coding !== "" && coding !== "identity");
  let bytes = body.bytes;
  let isCut = body.isCut;
  // Some servers compress and do not say so.
  if (codings.length === 0 && bytes[0] === 0x1f && bytes[1] === 0x8b) codings.push("gzip");
  if (codings.length > CODINGS_MAX || codings.some((coding) => !DECODERS.has(coding))) {
    const note = "It is in a coding that cannot be read here";
    return { ...shared, format: "hidden", content: "", isCut, note };
  }
  for (const coding of codings.reverse()) {
    const decoded = await decode(bytes, DECODERS.get(coding)!);
    if (decoded.bytes.length === 0 && bytes.length > 0 && decoded.isCut) {
      return { ...shared, format: "hidden", content: "", isCut, note: `It cannot be read as ${coding}` };
    }
    bytes = decoded.bytes;
    isCut ||= decoded.isCut;
  }
  return { ...shared, ...await shownBytes(bytes, contentType, isCut, turn), isCut };
}

async function shownBytes(
  bytes: Uint8Array,
  contentType: string,
  isCut: boolean,
  turn: Turn,
): Promise<Pick<ShownBody, "format" | "content" | "note">> {
  const text = await turn(() => utf8Of(bytes, isCut));
  if (text !== undefined && !text.includes("\0")) {
    return { format: "text", content: await inTurns(maskTextSteps(text, contentType), turn) };
  }
  // UTF-16 is read as the letters that it holds; bytes that are no text may have some in them.
  const latin = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  const letters = latin.replaceAll("\0", "");
  const masked = await inTurns(maskTextSteps(letters, contentType), turn);
  if (masked !== letters || /json|text|xml|urlencoded|multipart/i.test(contentType)) {
    return { format: "text", content: masked, note: "It is no UTF-8: bytes are shown as letters" };
  }
  return { format: "base64", content: Buffer.from(bytes).toString("base64") };
}

/** `undefined` when it is no UTF-8. The last character of what is cut may be half. */
function utf8Of(bytes: Uint8Array, isCut: boolean): string | undefined {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    return decoder.decode(bytes, { stream: isCut });
  } catch {
    return undefined;
  }
}

interface Decoder {
  on(event: "data", listener: (chunk: Uint8Array) => void): unknown;
  on(event: "error" | "end" | "close", listener: () => void): unknown;
  write(chunk: Uint8Array, done: () => void): boolean;
  end(): unknown;
  destroy(): unknown;
}

const DECODERS: ReadonlyMap<string, (first: number) => Decoder> = new Map([
  ["gzip", (): Decoder => zlib.createGunzip()],
  ["x-gzip", (): Decoder => zlib.createGunzip()],
  // Some send it without the wrapper that the name stands for.
  [
    "deflate",
    (first: number): Decoder => (first & 0x0f) === 8 ? zlib.createInflate() : zlib.createInflateRaw(),
  ],
  ["br", (): Decoder => zlib.createBrotliDecompress()],
]);

/** Decodes up to the bound; of what is broken or cut, as much as can be. */
function decode(
  bytes: Uint8Array,
  decoderFor: (first: number) => Decoder,
): Promise<{ bytes: Uint8Array; isCut: boolean }> {
  return new Promise((resolve) => {
    const decoder = decoderFor(bytes[0] ?? 0);
    const chunks: Uint8Array[] = [];
    let length = 0;
    let isOver = false;
    const finish = (isCut: boolean): void => {
      if (isOver) return;
      isOver = true;
      decoder.destroy();
      resolve({ bytes: Buffer.concat(chunks).subarray(0, DECODED_BYTES_MAX), isCut });
    };
    decoder.on("data", (chunk) => {
      if (isOver) return;
      chunks.push(chunk);
      length += chunk.length;
      if (length > DECODED_BYTES_MAX) finish(true);
    });
    decoder.on("error", () => finish(true));
    decoder.on("end", () => finish(false));
    decoder.on("close", () => finish(true));
    const feed = (from: number): void => {
      if (isOver) return;
      if (from >= bytes.length) return void decoder.end();
      decoder.write(bytes.subarray(from, from + INPUT_BYTES), () => feed(from + INPUT_BYTES));
    };
    feed(0);
  });
}

/** All values of a field, joined. @param name In lower case. */
export function fieldOf(fields: readonly string[], name: string): string {
  const values: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i]!.toLowerCase() === name) values.push(fields[i + 1]!);
  }
  return values.join(", ");
}
