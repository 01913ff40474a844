/**
 * The files of the page, as they were built: from the bundle that this runs in, or from `dist/` beside the source.
 *
 * They are the same for everybody and hold no secret: what there is to see comes from the API, to who is logged in.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/** `npm run build` puts the page here; the first character of what it puts is another one. */
const EMBEDDED: string = "@netwall-page@";

/** Addresses of views: all are the same file, which looks at the address itself. */
const VIEWS = new Set(["/", "/map", "/events", "/traffic", "/policy", "/links"]);

/** Names change with the content. */
const IMMUTABLE = "public, max-age=31536000, immutable";

const NOT_BUILT =
  "The page is not built. Build it with: npm run build, then start the gateway again. The API and the commands work without it.\n";

export interface PageFiles {
  /**
   * What to answer to GET or HEAD; `undefined` when the page has no such file.
   *
   * @param acceptEncoding The header, as it came.
   */
  find(path: string, acceptEncoding: string): Response | undefined;
}

interface PageFile {
  readonly type: string;
  readonly immutable: boolean;
  readonly gzip: Uint8Array<ArrayBuffer>;
  /** For who cannot read gzip. No browser wants it, and anybody may ask, so it is unpacked once when it is wanted. */
  plain?: Uint8Array<ArrayBuffer>;
  readonly etag: string;
}

/** Reads the page. One that was never built says so in its place. */
export function loadPage(): PageFiles {
  const text = readBuilt();
  if (text === undefined) {
    return {
      find: (path) => VIEWS.has(path) ? new Response(NOT_BUILT, { status: 503 }) : undefined,
    };
  }
  const { files } = JSON.parse(text) as {
    files: Record<string, { type: string; immutable: boolean; gzip: string }>;
  };
  const known = new Map(
    Object.entries(files).map(([path, { type, immutable, gzip }]): [string, PageFile] => {
      const etag = `"${createHash("sha256").update(gzip).digest("base64url").slice(0, 16)}"`;
      return [path, { type, immutable, gzip: new Uint8Array(Buffer.from(gzip, "base64")), etag }];
    }),
  );
  return {
    find(path, acceptEncoding): Response | undefined {
      const file = known.get(VIEWS.has(path) ? "/" : path);
      return file && respond(file, acceptEncoding);
    },
  };
}

function respond(file: PageFile, acceptEncoding: string): Response {
  const { type, immutable, gzip, etag } = file;
  const headers = new Headers({
    "Content-Type": type,
    "Cache-Control": immutable ? IMMUTABLE : "no-cache",
    ETag: etag,
    Vary: "Accept-Encoding",
  });
  // Every browser says so; the rest of RFC 9110 §12.5.3 is of no use here.
  if (!/(?:^|,)\s*gzip\s*(?:,|$)/i.test(acceptEncoding)) {
    file.plain ??= new Uint8Array(gunzipSync(gzip));
    return new Response(file.plain, { headers });
  }
  headers.set("Content-Encoding", "gzip");
  return new Response(gzip, { headers });
}

function readBuilt(): string | undefined {
  if (!EMBEDDED.startsWith("@")) return gunzipSync(Buffer.from(EMBEDDED, "base64")).toString();
  try {
    return readFileSync(new URL("../../dist/page.json", import.meta.url), "utf8");
  } catch {
    return undefined;
  }
}
