/**
 * Reads the body of a request: of a known type, no larger than its bound, valid UTF-8.
 *
 * @module
 */
import type { z } from "zod";
import { ApiFault, inputFault } from "./fault.ts";

/** The largest body that is JSON of a route's own. */
export const JSON_BYTES_MAX = 64 << 10;

/** How the body of a route is read. */
export interface BodyReader<B> {
  readonly media: readonly string[];
  readonly bytesMax: number;
  /** Whether it may be left out, with its Content-Type: an empty object is parsed then. @default false */
  readonly isOptional?: boolean;
  /** What it holds, for the description; it is checked by `parse`. */
  readonly schema: z.ZodType;
  /** @throws {ApiFault} 400 or 422. */
  parse(text: string): B;
}

/** A body of JSON with one shape. */
export function jsonBody<T>(schema: z.ZodType<T>): BodyReader<T> {
  return {
    media: ["application/json"],
    bytesMax: JSON_BYTES_MAX,
    schema,
    parse(text: string): T {
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch (cause) {
        // Deep nesting is a RangeError in some engines: it is bad JSON all the same.
        const reason = cause instanceof Error ? cause.message : "no JSON";
        throw new ApiFault(400, `Cannot read the body: ${reason.slice(0, 200)}, send JSON`);
      }
      const result = schema.safeParse(value);
      if (result.success) return result.data;
      throw inputFault(422, "Cannot use the body: see errors", result.error);
    },
  };
}

/**
 * Reads a body as text.
 *
 * @throws {ApiFault} 415: another type, another charset, or compressed. 413: over the bound, which is found out
 *   before more than the bound is kept. 400: no UTF-8, or cut off.
 */
export async function readBody(request: Request, reader: BodyReader<unknown>): Promise<string> {
  const { headers } = request;
  const isSent = headers.has("content-type") || headers.has("transfer-encoding") ||
    (headers.get("content-length") ?? "0") !== "0";
  if (reader.isOptional === true && !isSent) return "{}";
  const [media = "", ...parameters] = (headers.get("content-type") ?? "").toLowerCase().split(";");
  const charset = /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/;
  const isForeign = parameters.some((text) =>
    !["utf-8", "utf8"].includes(charset.exec(text)?.[1] ?? "utf-8")
  );
  if (!reader.media.includes(media.trim()) || isForeign) {
    throw new ApiFault(415, `Send it as ${reader.media[0]} in UTF-8, named in Content-Type`, undefined, {
      Accept: reader.media.join(", "),
    });
  }
  if ((headers.get("content-encoding") ?? "identity") !== "identity") {
    throw new ApiFault(415, "Send the body as it is, without Content-Encoding");
  }
  if (Number(headers.get("content-length") ?? 0) > reader.bytesMax) throw tooLarge(reader);
  const text = await readText(request.body, reader);
  return text.startsWith("\uFEFF") ? text.slice(1) : text;
}

async function readText(
  body: ReadableStream<Uint8Array> | null,
  reader: BodyReader<unknown>,
): Promise<string> {
  if (body === null) return "";
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const stream = body.getReader();
  const parts: string[] = [];
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await stream.read();
      if (done) return parts.join("") + decoder.decode();
      bytes += value.length;
      if (bytes > reader.bytesMax) throw tooLarge(reader);
      parts.push(decoder.decode(value, { stream: true }));
    }
  } catch (error) {
    stream.cancel().catch(() => undefined);
    if (error instanceof ApiFault) throw error;
    throw new ApiFault(400, "Cannot read the body: it was cut off or is no UTF-8, send it again");
  }
}

function tooLarge({ bytesMax }: BodyReader<unknown>): ApiFault {
  return new ApiFault(413, `Cannot read the body: larger than ${bytesMax} bytes, send less`);
}
