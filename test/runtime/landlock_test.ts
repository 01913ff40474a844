/**
 * What the kernel is asked for, byte by byte, what comes of each refusal, and that real calls reach the real kernel.
 *
 * What the rules hold is tried in test/seal, in processes of their own: a test cannot take a restriction back.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { constants } from "node:os";
import process from "node:process";
import { describe, expect, test } from "bun:test";
import {
  type LandlockRules,
  landlockVersion,
  probeDenied,
  restrictThread,
} from "../../lib/runtime/landlock.ts";
import { runtimeName } from "../../lib/runtime/runtime.ts";
import {
  type CallName,
  errorCode,
  openSystemCalls,
  type SystemCalls,
} from "../../lib/runtime/system_calls.ts";

const { EACCES, E2BIG, EINVAL, ENOENT, ENOSYS, EPERM, EADDRINUSE } = constants.errno;
const NOTHING: LandlockRules = { connectPorts: [], bindPorts: [], socketFolders: [] };

/** A kernel that notes what it is asked for. Every call succeeds unless `fails` says otherwise. */
class FakeKernel implements SystemCalls {
  readonly asked: (readonly [CallName, ...(number | string)[]])[] = [];
  #descriptor = 10;
  readonly #fails: (name: CallName, args: readonly (number | string)[]) => number | undefined;

  constructor(
    fails: (name: CallName, args: readonly (number | string)[]) => number | undefined = () => undefined,
  ) {
    this.#fails = fails;
  }

  call(name: CallName, ...args: readonly (number | Uint8Array)[]): number {
    const noted = args.map((arg) => typeof arg === "number" ? arg : Buffer.from(arg).toString("hex"));
    this.asked.push([name, ...noted]);
    const failed = this.#fails(name, noted);
    if (failed !== undefined) return -failed;
    return ["openat", "socket", "landlock_create_ruleset"].includes(name) ? this.#descriptor++ : 0;
  }

  /** Descriptors that were opened and not closed again. */
  get open(): number {
    const opened = this.asked.filter(([name]) => name === "openat" || name.endsWith("ruleset")).length;
    return opened - this.asked.filter(([name]) => name === "close").length;
  }
}

/** A 64-bit word as it lies in memory, in hex. */
function word(value: number): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes.toString("hex");
}

describe("restrictThread()", () => {
  test("asks for everything that is to be held, and closes what it opened", () => {
    const kernel = new FakeKernel();
    const rules = {
      connectPorts: [443, 3000, 443],
      bindPorts: [0],
      socketFolders: ["/run/doors", "/run/doors"],
    };
    expect(restrictThread(kernel, 7, rules)).toEqual({ kind: "restricted", version: 7 });
    const path = (text: string): string => Buffer.from(`${text}\0`).toString("hex");
    const beneath = (access: number, descriptor: string): string => word(access) + descriptor;
    expect(kernel.asked).toEqual([
      ["landlock_create_ruleset", word(0x2200) + word(3) + word(3), 24, 0],
      ["landlock_add_rule", 10, 2, word(2) + word(443), 0],
      ["landlock_add_rule", 10, 2, word(2) + word(3000), 0],
      ["landlock_add_rule", 10, 2, word(1) + word(0), 0],
      ["openat", -100, path("/"), 0o12000000, 0],
      ["landlock_add_rule", 10, 1, beneath(0x2000, "0b000000"), 0],
      ["close", 11],
      ["openat", -100, path("/run/doors"), 0o12000000, 0],
      ["landlock_add_rule", 10, 1, beneath(0x200, "0c000000"), 0],
      ["close", 12],
      ["prctl", 38, 1],
      ["landlock_restrict_self", 10, 0],
      ["close", 10],
    ]);
  });

  test("leaves scopes out for a kernel that does not know them", () => {
    for (const version of [4, 5]) {
      const kernel = new FakeKernel();
      restrictThread(kernel, version, NOTHING);
      expect(kernel.asked[0]).toEqual(["landlock_create_ruleset", word(0x2200) + word(3) + word(0), 16, 0]);
    }
  });

  const refusals: [CallName, number, string, string][] = [
    ["landlock_create_ruleset", EINVAL, "EINVAL", ""],
    ["landlock_add_rule", EINVAL, "EINVAL", "port 443"],
    ["openat", ENOENT, "ENOENT", "/"],
    ["prctl", EPERM, "EPERM", ""],
    ["landlock_restrict_self", E2BIG, "E2BIG", ""],
  ];
  test.each(refusals)("says so when %s is refused, and restricts nothing", (step, errno, code, subject) => {
    const kernel = new FakeKernel((name) => name === step ? errno : undefined);
    const outcome = restrictThread(kernel, 7, { ...NOTHING, connectPorts: [443] });
    expect(outcome).toEqual({ kind: "refused", step, code, subject });
    const restricts = kernel.asked.filter(([name]) => name === "landlock_restrict_self").length;
    expect(restricts).toBe(step === "landlock_restrict_self" ? 1 : 0);
    // What failed to open is not closed.
    const failedOpens = ["landlock_create_ruleset", "openat"].includes(step) ? 1 : 0;
    expect(kernel.open).toBe(failedOpens);
  });
  test("was refused at every step", () => expect(refusals).toHaveLength(5));

  test("names the folder that is not there", () => {
    const missing = Buffer.from("/no/such\0").toString("hex");
    const kernel = new FakeKernel((name, args) =>
      name === "openat" && args[1] === missing ? ENOENT : undefined
    );
    const outcome = restrictThread(kernel, 7, { ...NOTHING, socketFolders: ["/no/such"] });
    expect(outcome).toEqual({ kind: "refused", step: "openat", code: "ENOENT", subject: "/no/such" });
  });

  const impossible: [string, number, Partial<LandlockRules>][] = [
    ["port 0 to dial", 7, { connectPorts: [0] }],
    ["a port below 0", 7, { bindPorts: [-1] }],
    ["a port beyond the last", 7, { connectPorts: [65_536] }],
    ["half a port", 7, { bindPorts: [1.5] }],
    ["no number", 7, { connectPorts: [NaN] }],
    ["a version without ports", 3, {}],
  ];
  test.each(impossible)("takes %s for a bug, and asks for nothing", (_name, version, rules) => {
    const kernel = new FakeKernel();
    expect(() => restrictThread(kernel, version, { ...NOTHING, ...rules })).toThrow(RangeError);
    expect(kernel.asked).toHaveLength(0);
  });
  test("was given everything impossible", () => expect(impossible).toHaveLength(6));
});

describe("probeDenied()", () => {
  test("tries an address that TCP cannot dial, and a bind nobody hears", () => {
    const kernel = new FakeKernel((name) =>
      name === "connect" ? EACCES : name === "bind" ? EADDRINUSE : undefined
    );
    expect(probeDenied(kernel, 65_535)).toEqual({ connect: "EACCES", bind: "EADDRINUSE" });
    const [dial, bind] = kernel.asked.filter(([name]) => name === "connect" || name === "bind");
    expect(dial).toEqual(["connect", 10, `0200ffffe0000001${"0".repeat(16)}`, 16]);
    expect(bind).toEqual(["bind", 11, `0200ffff7f000001${"0".repeat(16)}`, 16]);
    expect(kernel.asked.filter(([name]) => name === "close")).toEqual([["close", 10], ["close", 11]]);
  });

  test("is empty for what went through, and tells when there are no sockets", () => {
    expect(probeDenied(new FakeKernel(), 9)).toEqual({ connect: "", bind: "" });
    const kernel = new FakeKernel((name) => name === "socket" ? EPERM : undefined);
    expect(probeDenied(kernel, 9)).toEqual({ connect: "EPERM", bind: "EPERM" });
  });
});

describe("openSystemCalls()", () => {
  const calls = openSystemCalls();
  const works = runtimeName === "bun" && process.platform === "linux";

  test("gives calls on Bun under Linux, and a reason elsewhere", () => {
    expect(typeof calls).toBe(works ? "object" : "string");
    if (runtimeName === "deno" && process.platform === "linux") {
      expect(calls).toBe("this runtime cannot make system calls: use Bun");
    }
  });

  // Only where calls can be made: the test above tells whether they must.
  test.skipIf(!works)("reaches the kernel, and brings its errors back", () => {
    if (typeof calls === "string") throw new Error(calls);
    expect(calls.call("close", -1)).toBe(-constants.errno.EBADF);
    const path = Buffer.from("/no/such/file\0");
    expect(calls.call("openat", -100, path, 0o12000000, 0)).toBe(-ENOENT);
    const version = landlockVersion(calls);
    expect(version > 0 || [ENOSYS, EPERM, constants.errno.EOPNOTSUPP].includes(-version)).toBe(true);
    // A thread that is free: the bind goes through, and TCP has no way to a multicast address.
    expect(probeDenied(calls, 65_531)).toEqual({ connect: "ENETUNREACH", bind: "" });
  });

  test.skipIf(!works)("refuses more arguments than it can pass on", () => {
    if (typeof calls === "string") throw new Error(calls);
    expect(() => calls.call("prctl", 0, 0, 0, 0, 0, 0)).toThrow(RangeError);
  });
});

describe("errorCode()", () => {
  test("names what the system names, and numbers the rest", () => {
    expect(errorCode(-EACCES)).toBe("EACCES");
    expect(errorCode(-100_000)).toBe("error 100000");
  });
});
