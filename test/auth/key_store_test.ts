/**
 * The secrets of a gateway: made once, also by many at once, and refused when somebody else could read them.
 *
 * @module
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import {
  ADMIN_TOKEN_FILE,
  KEY_FILE,
  KeyStoreError,
  loadOrCreateAdminToken,
  loadOrCreateKey,
  secretsEqual,
} from "../../lib/auth/key_store.ts";
import { mintToken, verifyToken } from "../../lib/auth/token.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "netwall-keys-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const CLAIMS = {
  id: "12345678",
  name: "a",
  serve: [],
  reach: [],
  egress: false,
  namespace: "default",
  image: "",
  issuedAtMs: 0,
  expiresAtMs: 60_000,
};

async function failureOf(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    expect(error).toBeInstanceOf(KeyStoreError);
    return error instanceof Error ? error.message : "";
  }
  return "no failure";
}

/** A process that says when it is ready, waits for `go`, and then prints its output. */
function startScript(script: string): { ready: Promise<void>; go: () => void; output: Promise<string> } {
  const root = join(import.meta.dirname ?? "", "../..");
  const argv = "Deno" in globalThis
    ? ["run", "-A", "-q", "--config", join(root, "deno.json"), script]
    : [script];
  const child = spawn(process.execPath, argv, { stdio: ["pipe", "pipe", "inherit"], cwd: root });
  const ready = Promise.withResolvers<void>();
  const output = Promise.withResolvers<string>();
  let text = "";
  child.stdout.on("data", (chunk) => {
    text += chunk;
    if (text.includes("\n")) ready.resolve();
  });
  const fail = (error: Error): void => {
    ready.reject(error);
    output.reject(error);
  };
  child.on("error", fail);
  child.on("close", (code) => {
    if (code === 0) output.resolve(text.slice("ready\n".length));
    else fail(new Error(`exit code ${code}`));
  });
  return { ready: ready.promise, go: () => child.stdin.end("\n"), output: output.promise };
}

describe("loadOrCreateKey()", () => {
  test("makes a key once, for its owner alone, and reads the same one again", async () => {
    const data = join(dir, "a/b");
    const first = await loadOrCreateKey(data);
    const second = await loadOrCreateKey(data);
    const token = await mintToken(first, CLAIMS);
    expect((await verifyToken(second, token, { nowMs: 1, isRevoked: () => false })).name).toBe("a");
    expect(statSync(data).mode & 0o777).toBe(0o700);
    expect(statSync(join(data, KEY_FILE)).mode & 0o777).toBe(0o600);
    expect(readdirSync(data)).toEqual([KEY_FILE]);
    expect(readFileSync(join(data, KEY_FILE), "utf8")).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
  });

  test("gives processes that start at once one and the same key", async () => {
    const script = join(dir, "start.ts");
    const data = join(dir, "data");
    const module = join(import.meta.dirname ?? "", "../../lib/auth/key_store.ts");
    const rounds = 30;
    writeFileSync(
      script,
      `import { readSync } from "node:fs";
import { loadOrCreateAdminToken, loadOrCreateKey } from ${JSON.stringify(module)};
process.stdout.write("ready\\n");
readSync(0, new Uint8Array(1));
const tokens = [];
for (let round = 0; round < ${rounds}; round += 1) {
  tokens.push(loadOrCreateAdminToken(${JSON.stringify(data)} + round));
}
await loadOrCreateKey(${JSON.stringify(data)} + 0);
process.stdout.write(tokens.join(" "));
`,
    );
    const children = [1, 2, 3].map(() => startScript(script));
    await Promise.all(children.map((child) => child.ready));
    for (const child of children) child.go();
    const outputs = await Promise.all(children.map((child) => child.output));
    expect(outputs[0]).toMatch(/^([A-Za-z0-9_-]{43} ){29}[A-Za-z0-9_-]{43}$/);
    expect(new Set(outputs).size).toBe(1);
    expect(new Set(outputs[0]?.split(" ")).size).toBe(rounds);
    expect(readdirSync(`${data}0`).sort()).toEqual([ADMIN_TOKEN_FILE, KEY_FILE]);
  });

  test("keeps the mode of a directory that is there", async () => {
    const data = join(dir, "mounted");
    mkdirSync(data);
    chmodSync(data, 0o755);
    await loadOrCreateKey(data);
    expect(statSync(data).mode & 0o777).toBe(0o755);
  });

  test("refuses a file that is no Ed25519 key, and says what to do", async () => {
    const rsa = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({
      type: "pkcs8",
      format: "pem",
    });
    const publicPem = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" });
    const contents = [
      "",
      "hello",
      rsa.toString(),
      publicPem.toString(),
      "-----BEGIN PRIVATE KEY-----\nAAAA\n",
    ];
    for (const content of contents) {
      writeFileSync(join(dir, KEY_FILE), content, { mode: 0o600 });
      expect(await failureOf(() => loadOrCreateKey(dir))).toMatch(
        /^Cannot read .*signing-key.pem: not an Ed25519 private key in PEM, restore it or move it away/,
      );
      expect(readFileSync(join(dir, KEY_FILE), "utf8")).toBe(content);
    }
    expect(contents).toHaveLength(5);
  });

  test("refuses a key that everyone can read, a huge one, and a path that is no directory", async () => {
    await loadOrCreateKey(dir);
    chmodSync(join(dir, KEY_FILE), 0o644);
    expect(await failureOf(() => loadOrCreateKey(dir))).toMatch(
      /everyone on this machine can open it, run chmod 600/,
    );
    chmodSync(join(dir, KEY_FILE), 0o640);
    await loadOrCreateKey(dir);
    writeFileSync(join(dir, KEY_FILE), "x".repeat(5000));
    expect(await failureOf(() => loadOrCreateKey(dir))).toMatch(/larger than 4096 bytes/);
    const file = join(dir, "file");
    writeFileSync(file, "");
    expect(await failureOf(() => loadOrCreateKey(file))).toMatch(
      /ENOTDIR, choose a writable directory with --data$/,
    );
    expect(await failureOf(() => loadOrCreateKey("/proc/netwall"))).toMatch(
      /choose a writable directory with --data$/,
    );
  });
});

describe("loadOrCreateAdminToken()", () => {
  test("makes 32 random bytes once", () => {
    const token = loadOrCreateAdminToken(dir);
    expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(loadOrCreateAdminToken(dir)).toBe(token);
    expect(statSync(join(dir, ADMIN_TOKEN_FILE)).mode & 0o777).toBe(0o600);
  });
  test("takes one of the operator's own, if it is long enough", async () => {
    const path = join(dir, ADMIN_TOKEN_FILE);
    writeFileSync(path, `${"s3cret".repeat(6)}\n`, { mode: 0o600 });
    expect(loadOrCreateAdminToken(dir)).toBe("s3cret".repeat(6));
    for (const text of ["", "\n", "short", `${"a".repeat(40)} b`, "\u00e9".repeat(40)]) {
      writeFileSync(path, text);
      const message = await failureOf(() => loadOrCreateAdminToken(dir));
      expect(message).toMatch(
        /admin-token: not 32 visible ASCII characters or more, remove it for a new one$/,
      );
      if (text.length > 3) expect(message).not.toContain(text);
    }
  });
});

test("secretsEqual() compares texts of any length, and an empty one equals nothing", () => {
  const cases: [string, string, boolean][] = [
    ["abc", "abc", true],
    ["abc", "abd", false],
    ["abc", "abcd", false],
    ["", "", false],
    ["", "a", false],
    ["a", "", false],
    ["\u00e9", "e\u0301", false],
    ["x".repeat(1 << 16), "x".repeat(1 << 16), true],
  ];
  for (const [a, b, equal] of cases) expect(secretsEqual(a, b)).toBe(equal);
  expect(cases).toHaveLength(8);
});
