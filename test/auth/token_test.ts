/**
 * Tokens: a round trip, and every way a stranger could bend one.
 *
 * @module
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import fc from "fast-check";
import { exportSPKI, importPKCS8, importSPKI } from "jose";
import {
  createTokenId,
  mayReach,
  mayServe,
  mintToken,
  type SigningKey,
  TOKEN_BYTES_MAX,
  type TokenClaims,
  TokenError,
  verifyToken,
} from "../../lib/auth/token.ts";

const NOW_MS = Date.UTC(2026, 5, 1);
const CLAIMS: TokenClaims = {
  id: "11111111-2222-4333-8444-555555555555",
  name: "web-1",
  serve: ["web", "api"],
  reach: ["*"],
  egress: true,
  namespace: "default",
  image: "ghcr.io/acme/web:1.2",
  issuedAtMs: NOW_MS,
  expiresAtMs: NOW_MS + 60_000,
};

const pair = generateKeyPairSync("ed25519");
let key: SigningKey;
beforeAll(async () => {
  key = {
    privateKey: await importPKCS8(
      pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      "EdDSA",
    ),
    publicKey: await importSPKI(pair.publicKey.export({ type: "spki", format: "pem" }).toString(), "EdDSA", {
      extractable: true,
    }),
  };
});

const CHECKS = { nowMs: NOW_MS, isRevoked: (): boolean => false };

async function codeOf(token: string, options: Partial<typeof CHECKS> = {}): Promise<string> {
  try {
    await verifyToken(key, token, { ...CHECKS, ...options });
    return "accepted";
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    // A token is in no message: not even in part.
    for (const part of token.split(".")) if (part.length > 8) expect(error.message).not.toContain(part);
    return error.code;
  }
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Signs any header and payload with the real key: what an attacker never can, but a bug could. */
function forge(payload: object, header: object = { alg: "EdDSA", typ: "JWT" }): string {
  const text = `${encode(header)}.${encode(payload)}`;
  return `${text}.${sign(null, Buffer.from(text), pair.privateKey).toString("base64url")}`;
}

const PAYLOAD = {
  iss: "netwall-gateway",
  aud: "netwall-agent",
  jti: CLAIMS.id,
  sub: "web-1",
  serve: ["web"],
  reach: [],
  egress: false,
  ns: "default",
  img: "",
  iat: NOW_MS / 1000,
  exp: NOW_MS / 1000 + 60,
};

describe("mintToken() and verifyToken()", () => {
  test("give back the same claims, frozen", async () => {
    const claims = await verifyToken(key, await mintToken(key, CLAIMS), CHECKS);
    expect(claims).toEqual(CLAIMS);
    expect(Object.isFrozen(claims) && Object.isFrozen(claims.serve)).toBe(true);
  });
  test("round times down to whole seconds", async () => {
    const token = await mintToken(key, { ...CLAIMS, issuedAtMs: NOW_MS + 999, expiresAtMs: NOW_MS + 5999 });
    const claims = await verifyToken(key, token, CHECKS);
    expect([claims.issuedAtMs, claims.expiresAtMs]).toEqual([NOW_MS, NOW_MS + 5000]);
  });
  test("the token expires at its very second", async () => {
    const token = await mintToken(key, CLAIMS);
    expect(await codeOf(token, { nowMs: NOW_MS + 59_999 })).toBe("accepted");
    expect(await codeOf(token, { nowMs: NOW_MS + 60_000 })).toBe("expired");
    expect(await codeOf(token, { nowMs: NOW_MS + 1e12 })).toBe("expired");
  });
  test("a revoked token is refused by its id", async () => {
    const token = await mintToken(key, CLAIMS);
    expect(await codeOf(token, { isRevoked: ((id: string) => id === CLAIMS.id) as () => boolean })).toBe(
      "revoked",
    );
  });
  test("claims out of bounds are not minted", async () => {
    const cases: [Partial<TokenClaims>, RegExp][] = [
      [{ id: "short" }, /claim jti is out of bounds/],
      [{ id: "a/b/c/d/e/f" }, /claim jti/],
      [{ name: "" }, /claim sub/],
      [{ name: "a b" }, /claim sub/],
      [{ serve: ["Web"] }, /claim serve.0/],
      [{ serve: Array(257).fill("a") }, /claim serve/],
      [{ reach: ["a.b"] }, /claim reach.0/],
      [{ namespace: "" }, /claim ns/],
      [{ image: "a b" }, /claim img/],
      [{ expiresAtMs: Infinity }, /claim exp/],
      [{ issuedAtMs: -1000 }, /claim iat/],
      [
        { serve: Array.from({ length: 100 }, (_, index) => `service-${index}-${"x".repeat(40)}`) },
        /name fewer services/,
      ],
    ];
    for (const [change, message] of cases) {
      let caught: unknown;
      await mintToken(key, { ...CLAIMS, ...change }).catch((error) => (caught = error));
      expect(caught).toBeInstanceOf(TokenError);
      expect(String(caught)).toMatch(message);
    }
    expect(cases).toHaveLength(12);
  });
  test("ids are new each time and fit the grammar", async () => {
    const ids = Array.from({ length: 100 }, createTokenId);
    expect(new Set(ids).size).toBe(100);
    expect(await codeOf(await mintToken(key, { ...CLAIMS, id: ids[0] ?? "" }))).toBe("accepted");
  });
});

describe("verifyToken() refuses", () => {
  test("what is no token, before it is looked into", async () => {
    const texts = [
      "",
      ".",
      "..",
      "a.b",
      "a.b.c.d",
      "a.b.c ",
      " a.b.c",
      "a.b.c\n",
      "\u00e9.b.c",
      "a".repeat(TOKEN_BYTES_MAX + 1),
    ];
    for (const text of texts) {
      expect([text.slice(0, 9), await codeOf(text)]).toEqual([text.slice(0, 9), "malformed"]);
    }
    expect(texts).toHaveLength(10);
    expect(await codeOf(`${await mintToken(key, CLAIMS)}.${"a".repeat(5 << 20)}`)).toBe("malformed");
  });
  test("what is too long, also when it is well signed", async () => {
    expect(await codeOf(forge({ ...PAYLOAD, more: "x".repeat(1000) }))).toBe("accepted");
    expect(await codeOf(forge({ ...PAYLOAD, more: "x".repeat(TOKEN_BYTES_MAX) }))).toBe("malformed");
  });
  test("another algorithm, whatever the token says of itself", async () => {
    const payload = encode(PAYLOAD);
    const none = encode({ alg: "none", typ: "JWT" });
    expect(await codeOf(`${none}.${payload}.AA`)).toBe("signature");
    const hmac = encode({ alg: "HS256", typ: "JWT" });
    const spki = await exportSPKI(key.publicKey);
    // The public key taken for a shared secret: the oldest trick there is.
    const mac = createHmac("sha256", spki).update(`${hmac}.${payload}`).digest("base64url");
    expect(await codeOf(`${hmac}.${payload}.${mac}`)).toBe("signature");
    expect(await codeOf(forge(PAYLOAD, { alg: "ES256", typ: "JWT" }))).toBe("signature");
    const other = generateKeyPairSync("ed25519").privateKey;
    const text = `${encode({ alg: "EdDSA", typ: "JWT" })}.${payload}`;
    expect(await codeOf(`${text}.${sign(null, Buffer.from(text), other).toString("base64url")}`)).toBe(
      "signature",
    );
  });
  test("a key that the token brings along", async () => {
    const other = generateKeyPairSync("ed25519");
    const jwk = other.publicKey.export({ format: "jwk" });
    const text = `${encode({ alg: "EdDSA", typ: "JWT", jwk, kid: "x", jku: "http://127.0.0.1/" })}.${
      encode(PAYLOAD)
    }`;
    expect(await codeOf(`${text}.${sign(null, Buffer.from(text), other.privateKey).toString("base64url")}`))
      .toBe("signature");
  });
  test("claims that no gateway mints, also well signed", async () => {
    expect(await codeOf(forge(PAYLOAD))).toBe("accepted");
    const changes: object[] = [
      { iss: "other" },
      { iss: undefined },
      { aud: "other" },
      { aud: undefined },
      { exp: undefined },
      { exp: "9999999999" },
      { exp: 1e300 },
      { iat: undefined },
      { jti: undefined },
      { jti: "../../etc" },
      { sub: 1 },
      { serve: "web" },
      { serve: ["Web"] },
      { serve: [["web"]] },
      { reach: null },
      { egress: "true" },
      { egress: undefined },
      { ns: "a/b" },
      { img: "\n" },
      { nbf: NOW_MS / 1000 + 30 },
    ];
    for (const change of changes) {
      expect([change, await codeOf(forge({ ...PAYLOAD, ...change }))]).toEqual([change, "malformed"]);
    }
    expect(changes).toHaveLength(20);
    for (
      const header of [{ alg: "EdDSA", typ: "other" }, { alg: "EdDSA" }, {
        alg: "EdDSA",
        typ: "JWT",
        crit: ["x"],
        x: 1,
      }]
    ) {
      expect(await codeOf(forge(PAYLOAD, header))).toBe("malformed");
    }
  });
  test("every change of a single character", async () => {
    const token = await mintToken(key, CLAIMS);
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(token.length - 1),
        fc.constantFrom("A", "z", "0", "_", "."),
        async (at, character) => {
          const bent = token.slice(0, at) + character + token.slice(at + 1);
          if ((await codeOf(bent)) !== "accepted") return;
          accepted += 1;
          // The last character of base64url has bits that mean nothing: the bytes are the same then.
          const bytes = (text: string): string =>
            Buffer.from(text.split(".")[2] ?? "", "base64url").toString("hex");
          expect(bytes(bent)).toBe(bytes(token));
        },
      ),
      { numRuns: 200 },
    );
    expect(accepted).toBeLessThan(20);
  });
});

test("mayServe() and mayReach() look at their own list alone", () => {
  expect(mayServe(CLAIMS, "web")).toBe(true);
  expect(mayServe(CLAIMS, "shop")).toBe(false);
  expect(mayServe(CLAIMS, "*")).toBe(false);
  expect(mayServe({ serve: ["*"] }, "shop")).toBe(true);
  expect(mayServe({ serve: ["*"] }, "*")).toBe(false);
  expect(mayServe({ serve: ["*"] }, "Not a name")).toBe(false);
  expect(mayReach(CLAIMS, "anything")).toBe(true);
  expect(mayReach({ reach: [] }, "web")).toBe(false);
});
