/**
 * The permissions that Deno runs with, which are its sandbox: they are given at the start and only ever get fewer.
 *
 * Measured on Deno 2.9: a host and port stands for dialling and for listening alike; a unix socket takes `net` for
 * `unix:` and its absolute path, and besides it `read` and `write` for that path; files under `/proc` can be read
 * only by a process that may do everything. Importing is a way out to a few well-known hosts that no query shows and
 * that `--deny-import` does not close: only `--no-remote` does.
 *
 * Source: https://docs.deno.com/runtime/fundamentals/security/.
 *
 * @module
 */

/** A permission as Deno is asked for it. Without `host` or `path` it stands for all of its kind. */
export interface Permission {
  readonly name: "net" | "run" | "ffi" | "write" | "read" | "env" | "sys";
  readonly host?: string;
  readonly path?: string;
  /** Of `run`: a program. */
  readonly command?: string;
}

/** Tells whether a permission is granted, without asking the user for it. What is granted in part cannot be listed. */
export type Permissions = (permission: Permission) => boolean;

interface DenoGlobal {
  readonly permissions?: { querySync(permission: Permission): { readonly state: string } };
}

/** The permissions of this process, or undefined where the runtime has none. */
export function openPermissions(): Permissions | undefined {
  const { permissions } = (globalThis as { Deno?: DenoGlobal }).Deno ?? {};
  if (permissions === undefined) return undefined;
  return (permission) => permissions.querySync(permission).state === "granted";
}
