/**
 * The certificate store: which pair a name gets, what is refused at start, and that a renewal in two steps never
 * puts half of a pair into use.
 *
 * @module
 */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  CERTIFICATE_FILE_BYTES_MAX,
  CERTIFICATE_PAIRS_MAX,
  type CertificateFiles,
  type CertificateReload,
  CertificateStore,
} from "../../lib/tls/certificates.ts";
import { CertificateError, normalName } from "../../lib/tls/pair.ts";
import { TestAuthority, type TestPair } from "../support/certificates.ts";
import { until } from "../support/tls_client.ts";

let authority: TestAuthority;
let first: TestPair;
let second: TestPair;

beforeAll(() => {
  authority = new TestAuthority();
  first = authority.leaf({ san: ["DNS:a.test", "DNS:*.wild.test", "IP:192.0.2.1", "IP:2001:db8::1"] });
  second = authority.leaf({ san: ["DNS:B.Test", "DNS:exact.wild.test", "DNS:a.test"] });
});

afterAll(() => authority.dispose());

/** Copies of a pair that a test may change. */
function copyOf(pair: TestPair): CertificateFiles {
  const folder = mkdtempSync(join(authority.folder, "copy-"));
  const files = { certPath: join(folder, "cert.pem"), keyPath: join(folder, "key.pem") };
  copyFileSync(pair.certPath, files.certPath);
  copyFileSync(pair.keyPath, files.keyPath);
  return files;
}

function scratch(name: string, text: string): string {
  const path = join(mkdtempSync(join(authority.folder, "scratch-")), name);
  writeFileSync(path, text);
  return path;
}

function loadError(certPath: string, keyPath: string): CertificateError {
  try {
    CertificateStore.load([{ certPath, keyPath }]);
  } catch (error) {
    expect(error).toBeInstanceOf(CertificateError);
    return error as CertificateError;
  }
  throw new Error("The store loaded what it must refuse");
}

describe("CertificateStore.choose()", () => {
  const cases: [string | undefined, "first" | "second"][] = [
    ["a.test", "first"],
    ["A.TEST", "first"],
    ["a.test.", "first"],
    ["b.test", "second"],
    ["exact.wild.test", "second"],
    ["other.wild.test", "first"],
    ["two.labels.wild.test", "first"],
    ["wild.test", "first"],
    ["192.0.2.1", "first"],
    ["2001:DB8:0::1", "first"],
    ["nobody.test", "first"],
    ["", "first"],
    [undefined, "first"],
    [".", "first"],
    ["..", "first"],
    ["*.wild.test", "first"],
    ["__proto__", "first"],
    ["x".repeat(70_000), "first"],
  ];

  test("takes the same name, then a wildcard of one label, then the first pair", () => {
    const store = CertificateStore.load([first, second]);
    const certs = { first: first.cert, second: second.cert };
    for (const [name, pair] of cases) expect([name, store.choose(name).cert]).toEqual([name, certs[pair]]);
    expect(cases).toHaveLength(18);
  });

  test("a wildcard and an address reach their pair when it is not the first", () => {
    const store = CertificateStore.load([second, first]);
    for (const name of ["other.wild.test", "192.0.2.1", "2001:db8:0:0::1"]) {
      expect(store.choose(name).cert).toBe(first.cert);
    }
    for (const name of ["two.labels.wild.test", "wild.test", ".wild.test", "a.test", "192.0.2.2"]) {
      expect(store.choose(name).cert).toBe(second.cert);
    }
  });

  test("counts the common name only when there is no SAN", () => {
    const bare = authority.leaf({ commonName: "Common.test" });
    const both = authority.leaf({ commonName: "hidden.test", san: ["DNS:shown.test"] });
    const store = CertificateStore.load([first, bare, both]);
    expect(store.choose("common.test").cert).toBe(bare.cert);
    expect(store.choose("shown.test").cert).toBe(both.cert);
    expect(store.choose("hidden.test").cert).toBe(first.cert);
  });

  test("gives the same object until it is renewed", () => {
    const store = CertificateStore.load([first, second]);
    expect(store.choose("b.test")).toBe(store.choose("B.TEST"));
    store.reload();
    expect(store.choose("b.test")).toBe(store.choose("b.test"));
  });
});

describe("CertificateStore.load()", () => {
  test("says which file is bad and what to do", () => {
    const other = authority.leaf();
    const cases: [string, string, CertificateError["code"], string][] = [
      ["/nowhere/cert.pem", first.keyPath, "missing", "/nowhere/cert.pem"],
      [first.certPath, "/nowhere/key.pem", "missing", "/nowhere/key.pem"],
      [first.certPath, join(first.certPath, "below"), "missing", join(first.certPath, "below")],
      [authority.folder, first.keyPath, "unreadable", authority.folder],
      [first.keyPath, first.keyPath, "malformed", first.keyPath],
      [first.certPath, first.certPath, "malformed", first.certPath],
      [scratch("empty", ""), first.keyPath, "malformed", "empty"],
      [scratch("cut", first.cert.slice(0, 300)), first.keyPath, "malformed", "cut"],
      [
        scratch("junk", first.cert.replace(/^MII.{40}/m, "MII" + "A".repeat(40))),
        first.keyPath,
        "malformed",
        "junk",
      ],
      [
        scratch("second", `${first.cert}-----BEGIN CERTIFICATE-----\nAAAA`),
        first.keyPath,
        "malformed",
        "second",
      ],
      [first.certPath, scratch("cutkey", first.key.slice(0, 80)), "malformed", "cutkey"],
      [first.certPath, authority.encryptedKey(first), "encrypted", "encrypted"],
      [first.certPath, other.keyPath, "mismatch", other.keyPath],
      [scratch("turned", authority.cert + first.cert), first.keyPath, "mismatch", first.keyPath],
      [scratch("long", "x".repeat(CERTIFICATE_FILE_BYTES_MAX + 1)), first.keyPath, "too_long", "long"],
    ];
    for (const [certPath, keyPath, code, inPath] of cases) {
      const error = loadError(certPath, keyPath);
      expect([error.path, error.code]).toEqual([error.path, code]);
      expect(error.path).toContain(inPath);
      expect(error.message).toContain(error.path);
      expect(error.message.includes("PRIVATE KEY-----")).toBe(false);
    }
    expect(cases).toHaveLength(15);
  });

  test("tells a chain in the wrong order from a key of another certificate", () => {
    const error = loadError(scratch("turned", authority.cert + first.cert), first.keyPath);
    expect(error.message).toContain("put the server's own certificate first");
  });

  test("says when a file is there and cannot be read", () => {
    const files = copyOf(first);
    // Root may read everything but what leads nowhere.
    rmSync(files.keyPath);
    symlinkSync(files.keyPath, files.keyPath);
    expect(loadError(files.certPath, files.keyPath).code).toBe("unreadable");
  });

  test("takes a chain with its authority, and text around the blocks", () => {
    const chain = scratch("chain.pem", `a comment\n${first.cert}\nanother\n${authority.cert}`);
    const store = CertificateStore.load([{ certPath: chain, keyPath: first.keyPath }]);
    expect(store.summaries()[0]!.names).toEqual([
      "a.test",
      "*.wild.test",
      "192.0.2.1",
      normalName("2001:db8::1"),
    ]);
  });

  test("refuses none and more than the bound", () => {
    expect(() => CertificateStore.load([])).toThrow("there is no pair");
    expect(() => CertificateStore.load(new Array(CERTIFICATE_PAIRS_MAX + 1).fill(first))).toThrow("at most");
  });
});

describe("CertificateStore.warnings()", () => {
  test("names the expired and the not yet valid, and neither is refused", () => {
    const expired = authority.leaf({ san: ["DNS:old.test"], isExpired: true });
    const store = CertificateStore.load([first, expired]);
    expect(store.warnings().map(({ path }) => path)).toEqual([expired.certPath]);
    expect(store.warnings()[0]!.message).toMatch(/^The certificate expired at \d{4}-/);
    const early = store.warnings(Date.now() - 86_400_000 * 300);
    expect(early.map(({ message }) => message.includes("not valid before"))).toEqual([true, true]);
    expect(store.choose("old.test").cert).toBe(expired.cert);
  });
});

describe("CertificateStore.reload()", () => {
  const renewed = (): TestPair => authority.leaf({ san: ["DNS:new.test"] });

  test("does nothing when nothing changed", () => {
    const store = CertificateStore.load([copyOf(first)]);
    expect(store.reload()).toEqual({ adopted: [], faults: [] });
  });

  test("keeps the old pair between the two writes of a renewal, and takes the new one after", () => {
    for (const order of [["cert", "key"], ["key", "cert"]] as const) {
      const files = copyOf(second);
      const store = CertificateStore.load([first, files]);
      const old = store.choose("b.test");
      const next = renewed();
      const write = {
        cert: () => writeFileSync(files.certPath, next.cert),
        key: () => writeFileSync(files.keyPath, next.key),
      };
      write[order[0]]();
      const half = store.reload();
      expect(half.adopted).toEqual([]);
      expect(half.faults).toHaveLength(1);
      expect(half.faults[0]!.message).toContain("the old pair stays in use");
      expect(store.choose("b.test")).toBe(old);
      // It is still said the next time, as it is still true.
      expect(store.reload()).toEqual(half);
      write[order[1]]();
      expect(store.reload()).toEqual({ adopted: [files.certPath], faults: [] });
      expect(store.choose("new.test").cert).toBe(next.cert);
      expect(store.choose("b.test").cert).toBe(first.cert);
    }
  });

  test("keeps a pair whose file is cut, gone or too long, and the others are renewed all the same", () => {
    const broken = copyOf(first);
    const good = copyOf(second);
    const store = CertificateStore.load([broken, good]);
    const breaks: (() => void)[] = [
      () => writeFileSync(broken.certPath, first.cert.slice(0, 200)),
      () => unlinkSync(broken.certPath),
      () => writeFileSync(broken.certPath, "x".repeat(CERTIFICATE_FILE_BYTES_MAX + 1)),
      () => (unlinkSync(broken.certPath), mkdirSync(broken.certPath)),
    ];
    for (const breakIt of breaks) {
      breakIt();
      const next = renewed();
      writeFileSync(good.certPath, next.cert);
      writeFileSync(good.keyPath, next.key);
      const result = store.reload();
      expect(result.adopted).toEqual([good.certPath]);
      expect(result.faults.map(({ path }) => path)).toEqual([broken.certPath]);
      expect(store.choose("a.test").cert).toBe(first.cert);
      expect(store.choose("new.test").cert).toBe(next.cert);
    }
  });

  test("a broken pair that comes back as it was is no renewal and no fault", () => {
    const files = copyOf(first);
    const store = CertificateStore.load([files]);
    const before = store.choose();
    writeFileSync(files.certPath, "");
    expect(store.reload().faults).toHaveLength(1);
    writeFileSync(files.certPath, first.cert);
    expect(store.reload()).toEqual({ adopted: [], faults: [] });
    expect(store.choose()).toBe(before);
  });

  test("sees a symbolic link that points elsewhere now", () => {
    const folder = mkdtempSync(join(authority.folder, "link-"));
    const next = renewed();
    symlinkSync(first.certPath, join(folder, "cert.pem"));
    symlinkSync(first.keyPath, join(folder, "key.pem"));
    const store = CertificateStore.load([{
      certPath: join(folder, "cert.pem"),
      keyPath: join(folder, "key.pem"),
    }]);
    for (const [name, target] of [["cert.pem", next.certPath], ["key.pem", next.keyPath]] as const) {
      symlinkSync(target, join(folder, `${name}.new`));
      renameSync(join(folder, `${name}.new`), join(folder, name));
    }
    expect(store.reload().adopted).toHaveLength(1);
    expect(store.choose().cert).toBe(next.cert);
  });
});

describe("CertificateStore.watch()", () => {
  test("tells of a fault once and of the renewal, then is silent when stopped", async () => {
    const files = copyOf(first);
    const store = CertificateStore.load([files]);
    const results: CertificateReload[] = [];
    store.stop();
    store.watch(5, (result) => void results.push(result));
    const next = authority.leaf();
    writeFileSync(files.certPath, next.cert);
    await until("the fault is told", () => results.length === 1);
    writeFileSync(files.keyPath, next.key);
    await until("the renewal is told", () => results.length === 2);
    store.stop();
    store.stop();
    expect(results[0]!.faults).toHaveLength(1);
    expect(results[1]).toEqual({ adopted: [files.certPath], faults: [] });
    writeFileSync(files.certPath, first.cert);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(results).toHaveLength(2);
  });
});
