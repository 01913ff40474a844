/**
 * Answers that the gateway gives itself: RFC 9457 problem documents, or a small page for browsers.
 *
 * A visitor learns the status, what to do, and the id under which the operator finds the cause; never the cause.
 *
 * @module
 */
import { STATUS_CODES } from "node:http";

export interface ProblemOptions {
  status: number;
  /** What the visitor may know, one sentence. */
  detail: string;
  requestId: string;
  /** The failure in the words of RFC 9209 §2.3, if a proxy error is behind it. */
  proxyError?: string;
  retryAfterSeconds?: number;
  /** A page instead of JSON. */
  page: boolean;
}

/** An answer, ready to be written. */
export interface Answer {
  status: number;
  reason: string;
  /** Flat names and values. */
  fields: string[];
  body: string;
}

/** Makes the answer for a problem. */
export function problem(options: ProblemOptions): Answer {
  const { status, detail, requestId, proxyError, retryAfterSeconds, page } = options;
  const title = STATUS_CODES[status] ?? "Error";
  const body = page
    ? renderPage(status, title, detail, requestId)
    : `${JSON.stringify({ type: "about:blank", title, status, detail, requestId })}\n`;
  const fields = [
    "Content-Type",
    page ? "text/html; charset=utf-8" : "application/problem+json",
    "Content-Length",
    String(new TextEncoder().encode(body).length),
    "Cache-Control",
    "no-store",
    "X-Request-Id",
    requestId,
  ];
  if (proxyError) fields.push("Proxy-Status", `netwall; error=${proxyError}`);
  if (retryAfterSeconds !== undefined) fields.push("Retry-After", String(retryAfterSeconds));
  return { status, reason: title, fields, body };
}

function renderPage(status: number, title: string, detail: string, requestId: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${status} ${escape(title)}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto; padding: 0 1.5rem; color-scheme: light dark }
h1 { font-size: 1.4rem } p { opacity: .8 } code { font-size: .85rem; opacity: .6 }
</style></head>
<body><h1>${status} ${escape(title)}</h1><p>${escape(detail)}</p><code>${
    escape(requestId)
  }</code></body></html>
`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
