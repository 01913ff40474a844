/**
 * Real certificates for tests, made with openssl in a temporary folder: an authority, leaves for any names, an
 * expired one. ECDSA P-256, as that takes milliseconds.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A pair on disk and in memory. */
export interface TestPair {
  readonly certPath: string;
  readonly keyPath: string;
  readonly cert: string;
  readonly key: string;
}

/** What a leaf is to be. */
export interface LeafOptions {
  /** SAN as openssl takes it, such as `DNS:a.test` or `IP:127.0.0.1`. None: the certificate has no SAN. */
  readonly san?: readonly string[];
  /** @default "leaf" */
  readonly commonName?: string;
  /** Makes it valid in the past only. @default false */
  readonly isExpired?: boolean;
}

/** One authority and the leaves it signed. Make one per test file and dispose of it in `afterAll`. */
export class TestAuthority {
  readonly folder = mkdtempSync(join(tmpdir(), "netwall-certificates-"));
  readonly cert: string;
  #count = 0;

  constructor() {
    const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"];
    this.#openssl([
      ...request,
      "-keyout",
      "ca.key",
      "-out",
      "ca.pem",
      "-subj",
      "/CN=test authority",
      ...extensions,
    ]);
    this.cert = readFileSync(join(this.folder, "ca.pem"), "utf8");
  }

  /** Signs a new leaf with a key of its own. */
  leaf(options: LeafOptions = {}): TestPair {
    const name = `leaf${++this.#count}`;
    const { san = [], commonName = "leaf", isExpired = false } = options;
    this.#openssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", `${name}.sec1`]);
    this.#openssl(["pkcs8", "-topk8", "-nocrypt", "-in", `${name}.sec1`, "-out", `${name}.key`]);
    this.#openssl([
      "req",
      "-new",
      "-key",
      `${name}.key`,
      "-subj",
      `/CN=${commonName}`,
      "-out",
      `${name}.csr`,
    ]);
    const extensions = [
      "basicConstraints=CA:FALSE",
      ...(san.length === 0 ? [] : [`subjectAltName=${san.join(",")}`]),
    ];
    writeFileSync(join(this.folder, `${name}.ext`), extensions.join("\n"));
    const sign = [
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
    ];
    // Minus one day: it ended yesterday. openssl takes that for `-days` of x509.
    this.#openssl([
      ...sign,
      "-days",
      isExpired ? "-1" : "30",
      "-extfile",
      `${name}.ext`,
      "-out",
      `${name}.pem`,
    ]);
    return this.#pair(name);
  }

  /** A self-signed certificate that says it is an authority, as many people make them. */
  selfSigned(host: string): TestPair {
    const name = `self${++this.#count}`;
    const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const subject = ["-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`];
    this.#openssl([...request, "-keyout", `${name}.key`, "-out", `${name}.pem`, ...subject]);
    return this.#pair(name);
  }

  /** The key of `pair`, with a passphrase. */
  encryptedKey(pair: TestPair): string {
    const path = join(this.folder, `encrypted${++this.#count}.key`);
    this.#openssl(["pkcs8", "-topk8", "-in", pair.keyPath, "-passout", "pass:secret", "-out", path]);
    return path;
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #pair(name: string): TestPair {
    const certPath = join(this.folder, `${name}.pem`);
    const keyPath = join(this.folder, `${name}.key`);
    return { certPath, keyPath, cert: readFileSync(certPath, "utf8"), key: readFileSync(keyPath, "utf8") };
  }

  #openssl(args: readonly string[]): void {
    execFileSync("openssl", [...args], { cwd: this.folder, stdio: ["ignore", "ignore", "pipe"] });
  }
}
