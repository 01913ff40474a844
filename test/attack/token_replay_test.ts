/**
 * Tokens that were stolen, changed, outlived, or shown to the wrong door.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { revokeTokens } from "../../lib/admin/token_commands.ts";
import { LINK_SUBPROTOCOL } from "../../lib/link/websocket.ts";
import { AttackRig } from "../support/attack_rig.ts";
import { startWall, type Wall } from "../support/wall.ts";

const rig = new AttackRig();
let other: Wall;
/** Whoever came with many wrong tokens has to wait, so each test of wrong ones has a gateway of its own. */
const rigs = [rig, new AttackRig(), new AttackRig(), new AttackRig(), new AttackRig()] as const;
beforeAll(async () => {
  for (const each of rigs) await each.start();
  other = await startWall({});
});
afterAll(async () => {
  await other.close();
  for (const each of rigs) await each.close();
});

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

function handshake(token: string | undefined, more = "", path = "/.netwall/link", method = "GET"): string {
  const authorization = token === undefined ? "" : `Authorization: Bearer ${token}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Protocol: ${LINK_SUBPROTOCOL}\r\n` +
    `${authorization}${more}\r\n`;
}

async function status(text: string, at: AttackRig = rig): Promise<number> {
  const visitor = at.visit(text);
  await visitor.until(
    () => visitor.closed || visitor.text.includes("\r\n\r\n"),
    () => "an answer to a handshake",
  );
  visitor.close();
  return Number(visitor.text.slice(9, 12));
}

function base64url(value: unknown): string {
  return btoa(JSON.stringify(value)).replaceAll("=", "").replaceAll("+", "-").replaceAll("/", "_");
}

/** Tokens that are nearly good at a gateway. */
async function wrongTokens(at: AttackRig): Promise<(string | undefined)[]> {
  const good = await at.wall.token(["web"]);
  const [head, body, signature] = good.split(".") as [string, string, string];
  const claims = JSON.parse(atob(body.replaceAll("-", "+").replaceAll("_", "/")));
  return [
    undefined,
    "x",
    await other.token(["web"]),
    `${head}.${base64url({ ...claims, serve: ["*"] })}.${signature}`,
    `${head}.${base64url({ ...claims, exp: claims.exp + 1e6 })}.${signature}`,
    `${base64url({ alg: "none" })}.${body}.`,
    `${base64url({ alg: "HS256" })}.${body}.${signature}`,
    `${base64url({ alg: "EdDSA", crit: ["x"], x: 1 })}.${body}.${signature}`,
    `${base64url({ alg: "EdDSA", jku: "http://127.0.0.1:1/" })}.${body}.${signature}`,
    `${head}.${body}`,
    `${head}.${body}.${signature.slice(0, -2)}`,
    `${good}.${good}`,
    `${good}x`,
    good.toLowerCase(),
  ];
}

describe("tokens that are none", () => {
  test("a good one links, as often as it is shown", async () => {
    const token = await rig.wall.token(["web"]);
    expect(await status(handshake(token))).toBe(101);
    expect(await status(handshake(token))).toBe(101);
  });

  test("changed, foreign, unsigned, cut, doubled and missing ones are 401", async () => {
    let tried = 0;
    for (const [half, at] of [rigs[1], rigs[2]].entries()) {
      const tokens = await wrongTokens(at);
      expect(tokens).toHaveLength(14);
      for (const token of tokens.slice(half * 7, half * 7 + 7)) {
        expect([tried, await status(handshake(token), at)]).toEqual([tried, 401]);
        tried++;
      }
    }
    expect(tried).toBe(14);
  });
  test("only Authorization is looked at: no query, no cookie, no second field", async () => {
    const at = rigs[3];
    const token = await at.wall.token(["web"]);
    expect(await status(handshake(undefined, "", `/.netwall/link?token=${token}`), at)).toBe(401);
    expect(await status(handshake(undefined, `Cookie: token=${token}\r\n`), at)).toBe(401);
    expect(await status(handshake(undefined, `Proxy-Authorization: Bearer ${token}\r\n`), at)).toBe(401);
    expect(await status(handshake("x", `Authorization: Bearer ${token}\r\n`), at)).toBe(401);
  });

  test("an expired one and a revoked one are 401", async () => {
    const at = rigs[4];
    expect(await status(handshake(await at.wall.token(["web"], -1000)), at)).toBe(401);
    const token = await at.wall.token(["web"]);
    revokeTokens(at.wall.data, token, Date.now());
    const deadlineMs = performance.now() + 8_000;
    while (await status(handshake(token), at) !== 401) {
      if (performance.now() > deadlineMs) throw new Error("A revoked token still links after 8 s");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });

  test("no token is ever logged", () => {
    const log = rigs.flatMap((each) => each.wall.log).join("");
    expect(log).toContain("link refused");
    expect(log).not.toMatch(/eyJ[A-Za-z0-9_-]+\./);
  });
});

describe("the door for links", () => {
  test("is no door for pages, other methods and other protocols", async () => {
    const token = await rig.wall.token(["web"]);
    expect(await status(handshake(token, "Origin: http://evil\r\n"))).toBe(403);
    expect(await status(handshake(token, "", "/.netwall/link", "POST"))).toBe(400);
    expect(await status(handshake(token).replace("Version: 13", "Version: 8"))).toBe(426);
    expect(await status(handshake(token).replace(LINK_SUBPROTOCOL, "chat"))).toBe(400);
    expect(await status(handshake(token).replace(KEY, "short"))).toBe(400);
    expect(await status(handshake(token).replace("Upgrade: websocket", "Upgrade: chat"))).toBe(400);
    expect(await status(`GET /.netwall/link HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`))
      .toBe(426);
  });

  test("a token of an agent opens no other door", async () => {
    const token = await rig.wall.token(["*"]);
    const answer = await fetch(`http://127.0.0.1:${rig.wall.adminPort}/metrics`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(answer.status).toBe(401);
    await answer.body?.cancel();
    await rig.attack(`GET /a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer mine\r\n\r\n`);
    expect(rig.target.requests.at(-1)?.raw).toContain("Authorization: Bearer mine\r\n");
  });

  test("a link that says nothing after its handshake serves nothing, and the others go on", async () => {
    const token = await rig.wall.token(["web"]);
    for (let i = 0; i < 5; i++) {
      const visitor = rig.visit(handshake(token));
      await visitor.untilText("101 ");
    }
    await rig.checkNextVisitors();
  });
});
