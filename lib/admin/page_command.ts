/**
 * The command that makes a link which opens the page once, without a token being typed anywhere.
 *
 * @module
 */
import { printable } from "../printable.ts";
import { type Answer, plainAnswer } from "./answer.ts";
import type { AdminClient, AdminPlace } from "./client.ts";
import { AdminClientError } from "./client_error.ts";
import { codeSchema } from "./schemas.ts";

/** A gateway whose page a browser can open. */
type WebPlace = Extract<AdminPlace, { kind: "http" }>;

/**
 * A link to the page of a gateway. The code stands in the fragment: no browser sends that, and no log has it.
 *
 * @param code Of POST /api/v1/session/codes; of a foreign gateway it may be anything.
 */
export function pageLink({ secure, host, port, path }: WebPlace, code: string): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return `${secure ? "https" : "http"}://${name}:${port}${path}/#code=${encodeURIComponent(code)}`;
}

/**
 * Asks a gateway for a link.
 *
 * @param role The role of the token when it is left out.
 * @throws {AdminClientError} `invalid`: the admin API is on a unix socket, which no browser can open; nothing is asked
 *   then. And all codes of the client.
 */
export async function makePageLink(
  client: AdminClient,
  place: AdminPlace,
  role: "viewer" | "operator" | undefined,
): Promise<Answer> {
  if (place.kind === "unix") {
    throw new AdminClientError(
      `Cannot make a link: no browser can open ${
        printable(client.at)
      }, give the gateway a port: --admin 127.0.0.1:9090`,
      "invalid",
    );
  }
  const body = JSON.stringify(role === undefined ? {} : { role });
  const { code } = await client.json({ method: "POST", path: "session/codes", body }, codeSchema);
  return plainAnswer(`${pageLink(place, code)}\n`);
}
