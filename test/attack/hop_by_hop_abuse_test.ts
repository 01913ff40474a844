/**
 * Connection names fields that a proxy must remove. Nobody may use that to remove what protects a target.
 *
 * @module
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { AttackRig } from "../support/attack_rig.ts";
import { fieldOf } from "../support/raw_http.ts";

const rig = new AttackRig();
beforeAll(() => rig.start());
afterAll(() => rig.close());

async function seen(fields: string, body = ""): Promise<string> {
  const before = rig.target.requests.length;
  const text = await rig.attack(
    `${body ? "POST" : "GET"} /h HTTP/1.1\r\nHost: app.example\r\n${fields}\r\n${body}`,
  );
  expect(text).toMatch(/^HTTP\/1.1 200 /);
  expect(rig.target.requests).toHaveLength(before + 1);
  return rig.target.requests.at(-1)!.raw;
}

test("who called cannot be named away", async () => {
  const names = "x-forwarded-for, X-Forwarded-Host, x-forwarded-proto, forwarded, host, close";
  const raw = await seen(`Connection: ${names}\r\nX-Forwarded-For: 6.6.6.6\r\n`);
  expect(fieldOf(raw, "X-Forwarded-For")).toBe("127.0.0.1");
  expect(fieldOf(raw, "X-Forwarded-Host")).toBe("app.example");
  expect(fieldOf(raw, "X-Forwarded-Proto")).toBe("http");
  expect(fieldOf(raw, "Forwarded")).toContain("for=127.0.0.1");
  expect(fieldOf(raw, "Host")).toBe("app.example");
});

test("what frames and authorizes cannot be named away", async () => {
  const names = "content-length, transfer-encoding, authorization, cookie, content-type";
  const fields =
    `Connection: ${names}\r\nAuthorization: Basic a\r\nCookie: b=c\r\nContent-Type: t/p\r\nContent-Length: 3\r\n`;
  const raw = await seen(fields, "abc");
  expect(fieldOf(raw, "Authorization")).toBe("Basic a");
  expect(fieldOf(raw, "Cookie")).toBe("b=c");
  expect(fieldOf(raw, "Content-Type")).toBe("t/p");
  expect(fieldOf(raw, "Content-Length")).toBe("3");
  expect(raw.endsWith("\r\n\r\nabc")).toBe(true);
});

test("what is named otherwise goes, in every case and in every line of Connection", async () => {
  const raw = await seen(
    "connection: X-One\r\nX-ONE: 1\r\nx-one: 2\r\nConnection: a,, ,X-Two ,\r\nX-Two: 3\r\nX-Three: 4\r\n",
  );
  expect(raw).not.toMatch(/x-one|x-two|\r\nconnection:/i);
  expect(fieldOf(raw, "X-Three")).toBe("4");
});

test("fields of one hop never go on", async () => {
  const fields =
    "Keep-Alive: timeout=1\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic secret\r\nTE: gzip\r\nUpgrade: x\r\n";
  const raw = await seen(fields);
  expect(raw).not.toMatch(/keep-alive|proxy-|secret|\r\nte:|\r\nupgrade:/i);
});

test("a target's Connection cannot name away the length of its answer", async () => {
  const answer =
    "HTTP/1.1 200 OK\r\nConnection: content-length, x-hop\r\nX-Hop: 1\r\nContent-Length: 2\r\nKeep-Alive: x\r\n\r\nok";
  const before = rig.target.onRequest;
  rig.target.onRequest = (_request, socket) => void socket.write(answer);
  const text = await rig.attack("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  rig.target.onRequest = before;
  expect(text).toContain("Content-Length: 2\r\n");
  expect(text).not.toContain("X-Hop");
  expect(text.endsWith("\r\n\r\nok")).toBe(true);
  await rig.checkNextVisitors();
});

test("a thousand names in Connection cost no more than a refusal", async () => {
  const names = Array.from({ length: 4000 }, (_, i) => `n${i}`).join(",");
  const text = await rig.attack(`GET / HTTP/1.1\r\nHost: x\r\nConnection: ${names}\r\n\r\n`);
  expect(text).toMatch(/^HTTP\/1.1 (200|431) /);
  await rig.checkNextVisitors();
});
