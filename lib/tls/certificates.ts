/**
 * Certificates from files: chosen by server name, and read again when they are renewed.
 *
 * Whoever renews a certificate writes two files, one after the other. Between the two they do not fit each
 * other, so a pair is only ever taken into use as a whole: until both fit, the old pair stays. The same holds for
 * a pair that is broken in any other way. Only the first load is strict.
 *
 * Source: RFC 6125 §6.4 and RFC 9525 §6.3 (names and wildcards).
 *
 * @module
 */
import { readFileSync, statSync } from "node:fs";
import type { CertificatePair } from "../runtime/certificate_pair.ts";
import { CertificateError, normalName, type ParsedPair, parsePair } from "./pair.ts";

/** Where one pair lies. */
export interface CertificateFiles {
  /** The chain, PEM, the server's own certificate first. */
  readonly certPath: string;
  /** Its private key, PEM, not encrypted. */
  readonly keyPath: string;
}

/** Something an operator should know, about one file. */
export interface CertificateFinding {
  readonly path: string;
  readonly message: string;
}

/** What a reload did. */
export interface CertificateReload {
  /** `certPath` of each pair that was taken into use. */
  readonly adopted: readonly string[];
  /** Pairs that could not be; their old certificates stay. The same fault is there each time until it is mended. */
  readonly faults: readonly CertificateFinding[];
}

/** One certificate in use, for a page or a log. */
export interface CertificateSummary {
  readonly certPath: string;
  readonly names: readonly string[];
  readonly notAfterMs: number;
}

/** More pairs than this are a mistake: each is looked at on every poll. */
export const CERTIFICATE_PAIRS_MAX = 1_000;

/** A longer file is not a certificate. 1 MiB holds several hundred. */
export const CERTIFICATE_FILE_BYTES_MAX = 1 << 20;

interface Entry {
  readonly files: CertificateFiles;
  current: ParsedPair;
  /** State of both files when they were last read, so that only a change is read. */
  seen: string;
  fault: CertificateFinding | undefined;
}

/** The pairs of one listener. Made by `CertificateStore.load`. */
export class CertificateStore {
  readonly #entries: readonly Entry[];
  #exact = new Map<string, CertificatePair>();
  #wildcards = new Map<string, CertificatePair>();
  #timer: ReturnType<typeof setInterval> | undefined;

  private constructor(entries: readonly Entry[]) {
    this.#entries = entries;
    this.#index();
  }

  /**
   * Reads all pairs.
   *
   * @param files At least one. The first is for clients that name no server, or one that no pair has.
   * @throws {CertificateError} The first pair that cannot be used, and why.
   * @throws {RangeError} None, or more than `CERTIFICATE_PAIRS_MAX`.
   */
  static load(files: readonly CertificateFiles[]): CertificateStore {
    if (files.length === 0) throw new RangeError("Cannot load certificates: there is no pair");
    if (files.length > CERTIFICATE_PAIRS_MAX) {
      throw new RangeError(
        `Cannot load certificates: ${files.length} pairs, at most ${CERTIFICATE_PAIRS_MAX}`,
      );
    }
    return new CertificateStore(files.map((pair) => {
      const seen = stateOf(pair);
      return { files: pair, current: readPair(pair), seen, fault: undefined };
    }));
  }

  /**
   * Chooses the pair for a server name: the same name, then a wildcard one label up, then the first pair.
   *
   * Of two pairs with one name the earlier counts. The result is the same object until that pair is renewed.
   *
   * @param serverName In any case, with or without a last dot; an IP address is fine; undefined for none.
   */
  choose(serverName?: string): CertificatePair {
    const first = this.#entries[0]!.current.pair;
    if (serverName === undefined || serverName === "") return first;
    const name = normalName(serverName);
    const dot = name.indexOf(".");
    return this.#exact.get(name) ?? (dot > 0 ? this.#wildcards.get(name.slice(dot + 1)) : undefined) ?? first;
  }

  /** Lists what is in use, in the order of the files. */
  summaries(): CertificateSummary[] {
    return this.#entries.map(({ files, current }) => ({
      certPath: files.certPath,
      names: current.names,
      notAfterMs: current.notAfterMs,
    }));
  }

  /** Lists certificates in use that a client would refuse at `nowMs` because of their dates. */
  warnings(nowMs: number = Date.now()): CertificateFinding[] {
    const findings: CertificateFinding[] = [];
    for (const { files, current } of this.#entries) {
      const path = files.certPath;
      if (nowMs > current.notAfterMs) {
        const date = new Date(current.notAfterMs).toISOString();
        findings.push({ path, message: `The certificate expired at ${date}, renew it` });
      } else if (nowMs < current.notBeforeMs) {
        const date = new Date(current.notBeforeMs).toISOString();
        findings.push({ path, message: `The certificate is not valid before ${date}, check the clock` });
      }
    }
    return findings;
  }

  /**
   * Reads again the pairs whose files changed: other time, size or inode, through symbolic links.
   *
   * Never throws for a bad file: that pair goes on as it is and is reported.
   */
  reload(): CertificateReload {
    const adopted: string[] = [];
    for (const entry of this.#entries) {
      // The state is taken before the files are read: a change in between is then seen the next time.
      const seen = stateOf(entry.files);
      if (seen === entry.seen) continue;
      entry.seen = seen;
      try {
        const next = readPair(entry.files);
        entry.fault = undefined;
        if (next.pair.cert === entry.current.pair.cert && next.pair.key === entry.current.pair.key) continue;
        entry.current = next;
        adopted.push(entry.files.certPath);
      } catch (error) {
        if (!(error instanceof CertificateError)) throw error;
        entry.fault = { path: error.path, message: `${error.message}; the old pair stays in use` };
      }
    }
    if (adopted.length > 0) this.#index();
    return { adopted, faults: this.#entries.flatMap(({ fault }) => fault === undefined ? [] : [fault]) };
  }

  /**
   * Reloads every `intervalMs` until `stop`, and does not keep the process alive for it. Replaces an earlier watch.
   *
   * @param onChange Called when a pair was adopted, or when the faults are not those of the last time.
   */
  watch(intervalMs: number, onChange: (result: CertificateReload) => void): void {
    this.stop();
    let before = "[]";
    const timer = setInterval(() => {
      const result = this.reload();
      const faults = JSON.stringify(result.faults);
      if (result.adopted.length === 0 && faults === before) return;
      before = faults;
      onChange(result);
    }, intervalMs);
    timer.unref();
    this.#timer = timer;
  }

  /** Ends `watch`. May be called at any time. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #index(): void {
    this.#exact = new Map();
    this.#wildcards = new Map();
    for (const { current } of this.#entries) {
      for (const name of current.names) {
        const [map, key] = name.startsWith("*.") ? [this.#wildcards, name.slice(2)] : [this.#exact, name];
        if (!map.has(key)) map.set(key, current.pair);
      }
    }
  }
}

function readPair({ certPath, keyPath }: CertificateFiles): ParsedPair {
  return parsePair({ cert: readText(certPath), key: readText(keyPath) }, certPath, keyPath);
}

function readText(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > CERTIFICATE_FILE_BYTES_MAX) {
      throw new CertificateError(
        "too_long",
        path,
        `${size} bytes, at most ${CERTIFICATE_FILE_BYTES_MAX}, check that it is a PEM file`,
      );
    }
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof CertificateError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw new CertificateError("missing", path, "there is no such file, check the path", { cause: error });
    }
    throw new CertificateError(
      "unreadable",
      path,
      `it cannot be read (${code ?? "unknown"}), give this user the right to read it`,
      { cause: error },
    );
  }
}

/** What tells one state of two files from another. Nanoseconds, as a renewal may take less than a millisecond. */
function stateOf({ certPath, keyPath }: CertificateFiles): string {
  return [certPath, keyPath].map((path) => {
    try {
      const stat = statSync(path, { bigint: true });
      return `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
    } catch (error) {
      // Reading the file fails in the same way, and says so in words.
      return String((error as NodeJS.ErrnoException).code);
    }
  }).join(" ");
}
