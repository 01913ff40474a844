/**
 * System calls for which no API of the runtime exists, made on the thread that asks.
 *
 * Only Bun can make them, through `bun:ffi`, which compiles a small function at run time and so needs memory that is
 * writable and executable. Deno has permissions instead of what they are for.
 *
 * Source: syscall(2), https://bun.sh/docs/api/ffi.
 *
 * @module
 */
import { constants } from "node:os";
import process from "node:process";

/** The calls that are made here. */
export type CallName =
  | "close"
  | "socket"
  | "connect"
  | "bind"
  | "prctl"
  | "openat"
  | "landlock_create_ruleset"
  | "landlock_add_rule"
  | "landlock_restrict_self";

/** Makes system calls on the thread that asks. */
export interface SystemCalls {
  /**
   * @param args Numbers as they are, bytes by their address; five at most. What is left out is 0.
   * @returns What the kernel returned, or minus the number of the error.
   */
  call(name: CallName, ...args: readonly (number | Uint8Array)[]): number;
}

/** Source: Linux arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h. */
const LANDLOCK_NUMBERS = {
  landlock_create_ruleset: 444,
  landlock_add_rule: 445,
  landlock_restrict_self: 446,
} as const;
const NUMBERS: Readonly<Record<string, Readonly<Record<CallName, number>>>> = {
  x64: { close: 3, socket: 41, connect: 42, bind: 49, prctl: 157, openat: 257, ...LANDLOCK_NUMBERS },
  arm64: { close: 57, socket: 198, connect: 203, bind: 200, prctl: 167, openat: 56, ...LANDLOCK_NUMBERS },
};

/** The C library under its names on glibc and on musl. */
const LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1", "libc.so"];
const SYSCALL_ARGS_MAX = 5;

/** What `bun:ffi` is used for, as Deno and tsc do not both know its types. */
interface Ffi {
  dlopen(library: string, symbols: object): {
    readonly symbols: {
      syscall(...args: number[]): bigint;
      "__errno_location"(): number;
    };
  };
  ptr(bytes: Uint8Array): number;
  readonly read: { i32(address: number, offset: number): number };
}

/**
 * Finds a way to make system calls.
 *
 * The module is asked for at run time: a literal import of it would not load on Deno, nor bundle for Node.
 *
 * @returns The calls, or why there are none, in words for the operator.
 */
export function openSystemCalls(): SystemCalls | string {
  const numbers = NUMBERS[process.arch];
  if (process.platform !== "linux") return `${process.platform} has no Landlock: it is part of Linux`;
  if (numbers === undefined) return `system calls are not known for ${process.arch}: use x64 or arm64`;
  const ffi = process.getBuiltinModule?.("bun:ffi") as Ffi | undefined;
  if (ffi === undefined) return "this runtime cannot make system calls: use Bun";
  const i64 = "i64";
  const symbols = {
    syscall: { args: [i64, i64, i64, i64, i64, i64], returns: i64 },
    "__errno_location": { args: [], returns: "ptr" },
  };
  let fault = "";
  for (const library of LIBRARIES) {
    try {
      return new FfiSystemCalls(ffi, ffi.dlopen(library, symbols).symbols, numbers);
    } catch (error) {
      // The first library is there wherever Bun's usual build runs: its fault tells the most.
      fault ||= error instanceof Error ? error.message : String(error);
    }
  }
  return `the C library cannot be called: ${fault}; allow memory that is writable and executable, and the JIT`;
}

class FfiSystemCalls implements SystemCalls {
  readonly #ffi: Ffi;
  readonly #symbols: ReturnType<Ffi["dlopen"]>["symbols"];
  readonly #numbers: Readonly<Record<CallName, number>>;
  readonly #errnoAddress: number;
  /** What the kernel was given addresses of: only that nothing collects it during the call. */
  readonly #held = new Set<readonly unknown[]>();

  constructor(ffi: Ffi, symbols: ReturnType<Ffi["dlopen"]>["symbols"], numbers: Record<CallName, number>) {
    this.#ffi = ffi;
    this.#symbols = symbols;
    this.#numbers = numbers;
    this.#errnoAddress = symbols["__errno_location"]();
  }

  call(name: CallName, ...args: readonly (number | Uint8Array)[]): number {
    if (args.length > SYSCALL_ARGS_MAX) throw new RangeError(`Cannot call ${name}: too many arguments`);
    this.#held.add(args);
    const words = args.map((arg) => typeof arg === "number" ? arg : this.#ffi.ptr(arg));
    while (words.length < SYSCALL_ARGS_MAX) words.push(0);
    const result = Number(this.#symbols.syscall(this.#numbers[name], ...words));
    // At once: whatever the runtime does next may fail and leave its own error there.
    const errno = result === -1 ? this.#ffi.read.i32(this.#errnoAddress, 0) : 0;
    this.#held.clear();
    return result === -1 ? -errno : result;
  }
}

/** The name of an error that a call returned, such as `EACCES` for -13. */
export function errorCode(result: number): string {
  const found = Object.entries(constants.errno).find(([, errno]) => errno === -result);
  return found?.[0] ?? `error ${-result}`;
}
