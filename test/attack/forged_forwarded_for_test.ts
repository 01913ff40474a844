/**
 * Visitors who say that they are somebody else.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { AttackRig } from "../support/attack_rig.ts";
import { fieldOf } from "../support/raw_http.ts";

const strict = new AttackRig();
const trusting = new AttackRig();
beforeAll(async () => {
  await strict.start({ gateway: { "log-access": true } });
  await trusting.start({ gateway: { "trusted-proxy": ["127.0.0.0/8"], "log-access": true } });
});
afterAll(async () => {
  await strict.close();
  await trusting.close();
});

async function seen(rig: AttackRig, fields: string): Promise<string> {
  await rig.attack(`GET / HTTP/1.1\r\nHost: x\r\n${fields}\r\n`);
  return rig.target.requests.at(-1)!.raw;
}

/** The last visitor in the log of requests. */
function logged(rig: AttackRig): string {
  const lines = rig.wall.log.map((line) => JSON.parse(line)).filter((line) => "visitor" in line);
  return lines.at(-1)?.visitor;
}

const FORGED = [
  "X-Forwarded-For: 6.6.6.6\r\n",
  "x-forwarded-for: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\n",
  "X_Forwarded_For: 6.6.6.6\r\n",
  "X-Forwarded_For: 6.6.6.6\r\n",
  "Forwarded: for=6.6.6.6\r\n",
  "X-Real-IP: 6.6.6.6\r\n",
  "X_Real_Ip: 6.6.6.6\r\n",
  "X-Forwarded-For: 127.0.0.1, 6.6.6.6\r\n",
  "Connection: X-Forwarded-For\r\nX-Forwarded-For: 6.6.6.6\r\n",
  "X-Forwarded-Host: 6.6.6.6\r\nX-Forwarded-Proto: 6.6.6.6\r\nX-Forwarded-Port: 6.6.6.6\r\n",
  "X-Forwarded-Server: 6.6.6.6\r\nX-Forwarded-Prefix: 6.6.6.6\r\n",
];

describe("nobody is trusted", () => {
  for (const fields of FORGED) {
    test(`nothing of ${JSON.stringify(fields.slice(0, 40))} reaches the target or the log`, async () => {
      const raw = await seen(strict, fields);
      expect(raw).not.toContain("6.6.6.6");
      expect(raw.match(/forwarded.for:/gi)).toHaveLength(1);
      expect(fieldOf(raw, "X-Forwarded-For")).toBe("127.0.0.1");
      expect(logged(strict)).toBe("127.0.0.1");
    });
  }

  test("there were as many as thought of", () => expect(FORGED).toHaveLength(11));

  test("trailers are no way around", async () => {
    const body =
      "0\r\nX-Forwarded-For: 6.6.6.6\r\nX_Real_Ip: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Sum: 1\r\n\r\n";
    await strict.attack(
      `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n${body}`,
    );
    const raw = strict.target.requests.at(-1)!.raw;
    expect(raw).toContain("X-Sum: 1\r\n");
    expect(raw).not.toContain("6.6.6.6");
  });
});

describe("behind a trusted proxy", () => {
  test("the right-most stranger is the visitor, and the chain goes on", async () => {
    const raw = await seen(trusting, "X-Forwarded-For: 6.6.6.6, 192.0.2.9\r\nX-Forwarded-Proto: https\r\n");
    expect(logged(trusting)).toBe("192.0.2.9");
    expect(fieldOf(raw, "X-Forwarded-For")).toBe("6.6.6.6, 192.0.2.9, 127.0.0.1");
    expect(fieldOf(raw, "X-Forwarded-Proto")).toBe("https");
  });

  test("what is no address is nobody, whatever stands before it", async () => {
    const odd = [
      "192.0.2.9, evil",
      "192.0.2.9, 1.2.3",
      "192.0.2.9,",
      "unknown",
      "192.0.2.9, 0x7f.1",
      "\u00e9",
      `${"1.1.1.1,".repeat(900)}x`,
    ];
    for (const value of odd) {
      await seen(trusting, `X-Forwarded-For: ${value}\r\n`);
      expect([value.slice(0, 30), logged(trusting)]).toEqual([value.slice(0, 30), "127.0.0.1"]);
    }
    expect(odd).toHaveLength(7);
  });

  test("without a chain the proxy itself is the visitor", async () => {
    const raw = await seen(trusting, "");
    expect(fieldOf(raw, "X-Forwarded-For")).toBe("127.0.0.1");
    expect(logged(trusting)).toBe("127.0.0.1");
  });
});
