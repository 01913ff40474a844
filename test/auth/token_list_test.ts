/**
 * The lists of tokens and of revocations: what is written, what is refused, and that nothing is un-revoked by
 * accident.
 *
 * @module
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadOrCreateKey } from "../../lib/auth/key_store.ts";
import { mintToken, type TokenClaims } from "../../lib/auth/token.ts";
import {
  listMinted,
  listRevoked,
  recordMinted,
  Revocations,
  revoke,
  REVOKED_FILE,
  REVOKED_MAX,
  TokenListError,
  TOKENS_FILE,
} from "../../lib/auth/token_list.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "netwall-tokens-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const claimsOf = (id: string, name = "web"): TokenClaims => ({
  id,
  name,
  serve: ["web"],
  reach: [],
  egress: false,
  namespace: "default",
  image: "",
  issuedAtMs: 0,
  expiresAtMs: 1000,
});

const lineOf = (id: string): string => `${JSON.stringify({ id, revokedAtMs: 1 })}\n`;

describe("recordMinted() and listMinted()", () => {
  test("keep the claims in order, for the owner alone, and nothing else an object holds", () => {
    expect(listMinted(dir)).toEqual([]);
    const secretive = { ...claimsOf("aaaaaaaa"), token: "hunter2" };
    recordMinted(dir, secretive);
    recordMinted(dir, claimsOf("bbbbbbbb", "api"));
    expect(listMinted(dir)).toEqual([claimsOf("aaaaaaaa"), claimsOf("bbbbbbbb", "api")] as never);
    const path = join(dir, TOKENS_FILE);
    expect(readFileSync(path, "utf8")).not.toContain("hunter2");
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });
  test("a line that was cut short does not swallow the next, and is named", () => {
    recordMinted(dir, claimsOf("aaaaaaaa"));
    appendFileSync(join(dir, TOKENS_FILE), '{"id":"cut');
    recordMinted(dir, claimsOf("bbbbbbbb"));
    expect(() => listMinted(dir)).toThrow(/tokens.jsonl:2: not JSON, correct or remove the line$/);
    const lines = readFileSync(join(dir, TOKENS_FILE), "utf8").split("\n");
    expect(JSON.parse(lines[2] ?? "")).toMatchObject({ id: "bbbbbbbb" });
  });
  test("need a directory that can be written", () => {
    expect(() => recordMinted("/proc/netwall", claimsOf("aaaaaaaa"))).toThrow(TokenListError);
    expect(() => recordMinted("/proc/netwall", claimsOf("aaaaaaaa"))).toThrow(
      /choose a writable directory with --data$/,
    );
  });
});

describe("revoke()", () => {
  test("takes an id, an agent's name, or the token itself", async () => {
    recordMinted(dir, claimsOf("aaaaaaaa"));
    recordMinted(dir, claimsOf("bbbbbbbb"));
    recordMinted(dir, claimsOf("cccccccc", "api"));
    expect(revoke(dir, "aaaaaaaa", 5)).toEqual(["aaaaaaaa"]);
    expect(revoke(dir, "aaaaaaaa", 6)).toEqual([]);
    expect(revoke(dir, "web", 7)).toEqual(["bbbbbbbb"]);
    const token = await mintToken(await loadOrCreateKey(dir), claimsOf("dddddddd"));
    expect(revoke(dir, token, 8)).toEqual(["dddddddd"]);
    expect([...listRevoked(dir)]).toEqual(["aaaaaaaa", "bbbbbbbb", "dddddddd"]);
    const text = readFileSync(join(dir, REVOKED_FILE), "utf8");
    expect(text).not.toContain(token.slice(0, 20));
    expect(text.startsWith('{"id":"aaaaaaaa","revokedAtMs":5}\n')).toBe(true);
  });
  test("counts an id before a name", () => {
    recordMinted(dir, claimsOf("aaaaaaaa"));
    recordMinted(dir, claimsOf("bbbbbbbb", "aaaaaaaa"));
    expect(revoke(dir, "aaaaaaaa", 1)).toEqual(["aaaaaaaa"]);
  });
  test("takes an id of ours that is in no list, and refuses all else", () => {
    const id = "11111111-2222-4333-8444-555555555555";
    expect(revoke(dir, id, 1)).toEqual([id]);
    for (const subject of ["", "nobody", "a.b.c", "../../etc/passwd", "x\n{}"]) {
      expect(() => revoke(dir, subject, 1)).toThrow(/no token and no agent has that name, see token list$/);
    }
    const junk = `${"a".repeat(40)}.${"b".repeat(40)}.hunter2hunter2`;
    expect(() => revoke(dir, junk, 1)).toThrow(/^Cannot revoke the token: it holds no id/);
    expect(() => revoke(dir, `a.${"b".repeat(5000)}.c`, 1)).toThrow(/it holds no id/);
    expect([...listRevoked(dir)]).toEqual([id]);
  });
  test("refuses to grow the list over its limit", () => {
    const id = (index: number): string => `id-${String(index).padStart(8, "0")}`;
    writeFileSync(
      join(dir, REVOKED_FILE),
      Array.from({ length: REVOKED_MAX }, (_, i) => lineOf(id(i))).join(""),
    );
    expect(() => revoke(dir, "11111111-2222-4333-8444-555555555555", 1)).toThrow(
      /at most 100000 tokens can be revoked/,
    );
    appendFileSync(join(dir, REVOKED_FILE), lineOf("one-more-id"));
    expect(() => listRevoked(dir)).toThrow(/more than 100000 lines$/);
  });
});

describe("Revocations", () => {
  function watch(): { list: Revocations; news: string[][]; errors: string[] } {
    const news: string[][] = [];
    const errors: string[] = [];
    const list = new Revocations({
      dataDir: dir,
      intervalMs: 60_000,
      onChange: (ids) => news.push([...ids]),
      onError: (error) => errors.push(error.message),
    });
    return { list, news, errors };
  }
  const path = (): string => join(dir, REVOKED_FILE);

  test("loads, and tells new ids once", () => {
    writeFileSync(path(), lineOf("aaaaaaaa"));
    const { list, news, errors } = watch();
    expect([list.has("aaaaaaaa"), list.has("bbbbbbbb"), list.size]).toEqual([true, false, 1]);
    list.poll();
    revoke(dir, "11111111-2222-4333-8444-555555555555", 1);
    list.poll();
    list.poll();
    expect(news).toEqual([["11111111-2222-4333-8444-555555555555"]]);
    expect(list.size).toBe(2);
    expect(errors).toEqual([]);
    list.stop();
  });
  test("finds a file that appears, by its own timer", async () => {
    const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
    // The timer of the list does not keep the process alive, so that this one has to.
    const guard = setTimeout(() => reject(new Error("nothing was found")), 10_000);
    const list = new Revocations({ dataDir: dir, intervalMs: 5, onChange: resolve, onError: reject });
    writeFileSync(path(), lineOf("aaaaaaaa"));
    const found = await promise;
    clearTimeout(guard);
    list.stop();
    expect(found).toEqual(["aaaaaaaa"]);
  });
  test("keeps the last good list when a line is broken, names the line, and recovers", () => {
    writeFileSync(path(), lineOf("aaaaaaaa"));
    const { list, news, errors } = watch();
    const broken = [
      "{",
      '{"id":1,"revokedAtMs":1}',
      '{"id":"x"}',
      "null",
      '{"id":"../../../..","revokedAtMs":1}',
    ];
    for (const line of broken) {
      writeFileSync(path(), `${lineOf("bbbbbbbb")}\n${line}\n`);
      list.poll();
      list.poll();
      expect([list.has("aaaaaaaa"), list.has("bbbbbbbb")]).toEqual([true, false]);
      expect(errors.at(-1)).toMatch(/revoked.jsonl:3: .*correct or remove the line$/);
    }
    expect(errors).toHaveLength(broken.length);
    expect(news).toEqual([]);
    writeFileSync(path(), lineOf("aaaaaaaa") + lineOf("cccccccc"));
    list.poll();
    expect(news).toEqual([["cccccccc"]]);
    list.stop();
  });
  test("does not un-revoke when the file vanishes, but does when a line is taken out", () => {
    writeFileSync(path(), lineOf("aaaaaaaa") + lineOf("bbbbbbbb"));
    const { list, errors } = watch();
    rmSync(path());
    list.poll();
    list.poll();
    expect(list.has("aaaaaaaa")).toBe(true);
    expect(errors).toEqual(["Cannot read revoked.jsonl: it was removed, the list before stays"]);
    writeFileSync(path(), lineOf("bbbbbbbb"));
    list.poll();
    expect([list.has("aaaaaaaa"), list.has("bbbbbbbb")]).toEqual([false, true]);
    list.stop();
  });
  test("does not start on a list that cannot be read", () => {
    writeFileSync(path(), "nonsense\n");
    expect(watch).toThrow(TokenListError);
  });
});
