/**
 * Tests of the answers that the gateway makes itself.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { problem } from "../../lib/admin/problem.ts";

const BASE = { status: 503, detail: "No agent serves this right now", requestId: "id-1", page: false };

function valueOf(fields: string[], name: string): string | undefined {
  const at = fields.indexOf(name);
  return at < 0 ? undefined : fields[at + 1];
}

test("a problem document says status, detail and id, and its length is right", () => {
  const answer = problem({ ...BASE, proxyError: "destination_unavailable", retryAfterSeconds: 2 });
  expect(answer).toMatchObject({ status: 503, reason: "Service Unavailable" });
  expect(JSON.parse(answer.body)).toEqual({
    ...{ type: "about:blank", title: "Service Unavailable", status: 503 },
    ...{ detail: "No agent serves this right now", requestId: "id-1" },
  });
  expect(valueOf(answer.fields, "Content-Type")).toBe("application/problem+json");
  expect(valueOf(answer.fields, "Content-Length")).toBe(String(answer.body.length));
  expect(valueOf(answer.fields, "Proxy-Status")).toBe("netwall; error=destination_unavailable");
  expect(valueOf(answer.fields, "Retry-After")).toBe("2");
  expect(valueOf(answer.fields, "X-Request-Id")).toBe("id-1");
  expect(valueOf(answer.fields, "Cache-Control")).toBe("no-store");
});

test("without a failure or a time there are no such fields", () => {
  const { fields } = problem({ ...BASE, status: 404 });
  expect(fields.includes("Proxy-Status")).toBe(false);
  expect(fields.includes("Retry-After")).toBe(false);
});

test("a page escapes what it shows, and counts bytes and not characters", () => {
  const answer = problem({ ...BASE, page: true, detail: `<script>alert("é")</script>&'` });
  expect(answer.body).not.toContain("<script>");
  expect(answer.body).toContain("&#60;script&#62;alert(&#34;é&#34;)&#60;/script&#62;&#38;&#39;");
  expect(valueOf(answer.fields, "Content-Length")).toBe(String(new TextEncoder().encode(answer.body).length));
  expect(valueOf(answer.fields, "Content-Type")).toBe("text/html; charset=utf-8");
});

test("a status without a name still makes a sound answer", () => {
  expect(problem({ ...BASE, status: 499 })).toMatchObject({ status: 499, reason: "Error" });
});
