/**
 * Tests of what puts an answer out: whole, or with a word that it is not.
 *
 * @module
 */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { print, printToFile, type TextOutput } from "../../lib/admin/print.ts";

const failing = (code: string, message = "no"): TextOutput => ({
  write: (_text, done) => done(Object.assign(new Error(message), code === "" ? {} : { code })),
});

describe("print()", () => {
  test("resolves when the text is out and not before, and writes nothing for an empty one", async () => {
    const calls: string[] = [];
    const output: TextOutput = {
      write: (text, done) => {
        calls.push(text);
        setTimeout(() => {
          calls.push("out");
          done();
        }, 1);
      },
    };
    expect(await print("policy", output)).toBe(true);
    expect(await print("", output)).toBe(true);
    expect(calls).toEqual(["policy", "out"]);
  });

  test("tells a reader who has gone from a disk that is full, however the runtime says it", async () => {
    expect(await print("x", failing("EPIPE"))).toBe(false);
    await expect(print("x", failing("ENOSPC"))).rejects.toThrow("the disk is full");
    await expect(print("x", failing("", "No space left on device (os error 28)"))).rejects.toThrow("is full");
    await expect(print("x", failing("EIO"))).rejects.toThrow("EIO, what is there is not whole");
    const throwing: TextOutput = {
      write: () => {
        throw Object.assign(new Error("no"), { code: "EPIPE" });
      },
    };
    expect(await print("x", throwing)).toBe(false);
  });
});

describe("printToFile()", () => {
  let folder = "";
  beforeEach(() => folder = mkdtempSync(join(tmpdir(), "netwall-print-")));
  afterEach(() => rmSync(folder, { recursive: true }));

  test("writes a new file, and takes the place of one with its mode and through a link", () => {
    const [path, link] = [join(folder, "policy.yaml"), join(folder, "link.yaml")];
    printToFile(path, "one\n");
    expect(readFileSync(path, "utf8")).toBe("one\n");
    chmodSync(path, 0o600);
    symlinkSync(path, link);
    printToFile(link, "two\n");
    expect(readFileSync(path, "utf8")).toBe("two\n");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder).sort()).toEqual(["link.yaml", "policy.yaml"]);
  });

  test("leaves what was there as it was when the new file cannot be written", () => {
    const path = join(folder, "policy.yaml");
    writeFileSync(path, "good\n");
    // The place of the new file is taken: nothing of another program is written over either.
    mkdirSync(join(folder, `policy.yaml.part-${process.pid}`));
    expect(() => printToFile(path, "new\n")).toThrow("name another file with --output");
    expect(readFileSync(path, "utf8")).toBe("good\n");
    expect(() => printToFile(join(folder, "none", "x.yaml"), "x")).toThrow("no such file or directory");
    expect(() => printToFile(folder, "x")).toThrow("it is a directory");
  });

  test("writes to a device and does not replace it", () => {
    printToFile("/dev/null", "x");
    expect(statSync("/dev/null").isFile()).toBe(false);
  });
});
