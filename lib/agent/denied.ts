/**
 * What the permissions of Deno deny, in the words of the flag that would grant it.
 *
 * They are asked before anything is tried: Deno throws some denials where nobody can catch them, and others look like
 * faults of the network.
 *
 * @module
 */
import { resolve as resolvePath } from "node:path";
import { openPermissions, type Permission, type Permissions } from "../runtime/permissions.ts";

/** A host and its port, or a unix socket. */
export type DeniedPlace = { readonly host: string; readonly port: number } | { readonly path: string };

/** What `connectTo` gives as error where Deno denies it. */
export const NOT_CAPABLE = "NotCapable";

/**
 * The flags that Deno lacks to dial a place or to listen there.
 *
 * @param permissions Undefined on Bun: nothing is lacking then.
 * @returns Such as `--allow-net=127.0.0.1:9`; `undefined` when all is granted.
 */
export function lackingFlags(
  place: DeniedPlace,
  permissions: Permissions | undefined = openPermissions(),
): string | undefined {
  if (permissions === undefined) return undefined;
  let wanted: Permission[];
  if ("path" in place) {
    const path = resolvePath(place.path);
    // A unix socket is part of the network and of the file system at once.
    wanted = [{ name: "net", host: `unix:${path}` }, { name: "read", path }, { name: "write", path }];
  } else {
    const { host, port } = place;
    wanted = [{ name: "net", host: `${host.includes(":") ? `[${host}]` : host}:${port}` }];
  }
  const lacking = wanted.filter((permission) => !permissions(permission));
  return lacking.map(({ name, host, path }) => `--allow-${name}=${host ?? path}`).join(" ") || undefined;
}

/** Whether Deno lets this process look a name up, which it asks for without a port. True on Bun. */
export function mayLookUp(
  host: string,
  permissions: Permissions | undefined = openPermissions(),
): boolean {
  return permissions === undefined || permissions({ name: "net", host });
}

/** Whether an error is a denial of Deno's. */
export function isDenied(error: unknown): boolean {
  return error instanceof Error && error.name === NOT_CAPABLE;
}

/** A short word for why a file cannot be read. */
export function codeOf(error: unknown): string {
  return isDenied(error) ? NOT_CAPABLE : (error as NodeJS.ErrnoException).code ?? String(error);
}

/** What to do about a file that cannot be read. */
export function fileCure(error: unknown, path: string): string {
  return isDenied(error) ? grantCure(`--allow-read=${path}`) : "Check the path, its owner and mode";
}

/** What to do about a denial. */
export function grantCure(flags: string): string {
  return `Start it with ${flags} among the flags of Deno`;
}
