/**
 * The admin token that a command sends: from a file, the environment, or the directory of the gateway.
 *
 * Nothing is made here: a command in the wrong directory must not leave a token there that no gateway knows.
 *
 * @module
 */
import { join } from "node:path";
import { ADMIN_TOKEN_FILE, SECRET_FILE_BYTES_MAX } from "../auth/key_store.ts";
import { printable } from "../printable.ts";
import { AdminClientError } from "./client_error.ts";
import { fileFault, readBounded } from "./policy_file.ts";

export interface AdminTokenSource {
  /** Comes first. */
  readonly file: string | undefined;
  /** What `NETWALL_ADMIN_TOKEN` holds; comes second. Empty is as if it were not set. */
  readonly environment: string | undefined;
  /** The directory of the gateway; comes last. */
  readonly dataDir: string;
}

/**
 * The admin token.
 *
 * @throws {AdminClientError} `invalid`: there is none, or it is not one line of visible ASCII.
 */
export function adminTokenOf(source: AdminTokenSource): string {
  const { file, environment, dataDir } = source;
  if (file === undefined && environment !== undefined && environment.trim() !== "") {
    return checked(environment, "NETWALL_ADMIN_TOKEN");
  }
  const path = file ?? join(dataDir, ADMIN_TOKEN_FILE);
  try {
    return checked(new TextDecoder().decode(readBounded(path, SECRET_FILE_BYTES_MAX)), path);
  } catch (error) {
    if (error instanceof AdminClientError) throw error;
    throw new AdminClientError(
      `Cannot read an admin token from ${printable(path)}: ${
        fileFault(error)
      }, name the gateway's directory with ` +
        "--data DIR, or give the token with --admin-token-file FILE or NETWALL_ADMIN_TOKEN",
      "invalid",
      { cause: error },
    );
  }
}

function checked(text: string, from: string): string {
  const token = text.trim();
  if (/^[\x21-\x7e]{1,4096}$/.test(token)) return token;
  throw new AdminClientError(
    `Cannot use the admin token of ${printable(from)}: not one line of visible ASCII, is it the right file`,
    "invalid",
  );
}
