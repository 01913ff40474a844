/**
 * The first two steps to anything on a network, each with its own words: find the address of a name, and connect.
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import { connect, isIP, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { isLoopback } from "../link/proxy.ts";
import { grantCure, lackingFlags, mayLookUp, NOT_CAPABLE } from "./denied.ts";
import { type Checked, type CheckTime, fail, type Finding, ok, reasonOf, runCheck } from "./check.ts";

/** A host and a port. IPv6 without brackets. */
export interface HostEndpoint {
  readonly host: string;
  readonly port: number;
}

/** Something to connect to: on a network, or a unix socket. */
export type Endpoint = HostEndpoint | { readonly path: string };

/** Addresses of a name that are shown. */
const ADDRESSES_SHOWN = 4;

/** An address as it is written: `host:port`, with brackets where they are needed, or `unix:PATH`. */
export function endpointText(endpoint: Endpoint): string {
  if ("path" in endpoint) return `unix:${endpoint.path}`;
  const { host, port } = endpoint;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Whether a host has to be looked up. */
export function isName(host: string): boolean {
  return isIP(host) === 0;
}

/** Looks the name of an endpoint up as every dial does: through the resolver of the system. */
export function checkName({ host, port }: HostEndpoint, timeoutMs: number): Promise<Checked<true>> {
  return runCheck(`name ${host}`, timeoutMs, async ({ soon }) => {
    if (!mayLookUp(host)) {
      const flags = lackingFlags({ host, port });
      if (flags !== undefined) return { finding: fail("Deno does not allow it", grantCure(flags)) };
      // Dialling it looks it up as well, and is allowed: the next line tells whether that works.
      return { finding: ok(`Deno allows to connect to port ${port} of it, and no more`), value: true };
    }
    try {
      const answers = await Promise.race([lookup(host, { all: true, verbatim: true }), soon]);
      if (answers === "late") {
        return { finding: fail(`no answer from the name servers within ${timeoutMs} ms`, DNS_CURE) };
      }
      const shown = answers.slice(0, ADDRESSES_SHOWN).map(({ address }) => address).join(", ");
      const more = answers.length - ADDRESSES_SHOWN;
      return { finding: ok(more > 0 ? `${shown} and ${more} more` : shown), value: true };
    } catch (error) {
      return { finding: nameFault(error) };
    }
  });
}

const DNS_CURE = "Check /etc/resolv.conf, and that the firewall lets port 53 out to the name servers";

const NO_NETWORK =
  "Give this container a network, or link it by a gateway's unix socket with --gateway unix:PATH";

function nameFault(error: unknown): Finding {
  const code = reasonOf(error);
  if (!hasNetwork()) return fail(`there is no network here to ask name servers (${code})`, NO_NETWORK);
  if (code === "ENOTFOUND" || code === "ENODATA") {
    return fail(`there is no such name (${code})`, "Check the spelling, and that the name servers know it");
  }
  if (code === "EAI_AGAIN") return fail(`the name servers do not answer (${code})`, DNS_CURE);
  return fail(`it cannot be looked up (${code})`, DNS_CURE);
}

/**
 * Connects, and ends the connection at once.
 *
 * @param whose Says in the cure who should be running there.
 */
export function checkConnect(
  name: string,
  endpoint: Endpoint,
  timeoutMs: number,
  whose: string,
): Promise<Checked<true>> {
  return runCheck(name, timeoutMs, async (time) => {
    const outcome = await connectTo(endpoint, time);
    if ("error" in outcome) return { finding: connectFault(outcome.error, endpoint, timeoutMs, whose) };
    const { remoteAddress } = outcome.socket;
    outcome.socket.destroy();
    const host = "path" in endpoint ? undefined : endpoint.host;
    const via = remoteAddress === undefined || remoteAddress === host ? "" : ` to ${remoteAddress}`;
    return { finding: ok(`connected${via}`), value: true };
  });
}

/** The error of a connection that did not come about in time. */
export const TIMED_OUT = "ETIMEDOUT";

/**
 * Opens a socket. The caller destroys it; it already has a listener for errors, so that a late one does not end the
 * process.
 */
export async function connectTo(
  endpoint: Endpoint,
  time: CheckTime,
): Promise<{ socket: Socket } | { error: string }> {
  if (lackingFlags(endpoint) !== undefined) return { error: NOT_CAPABLE };
  const socket = "path" in endpoint
    ? connect({ path: endpoint.path })
    : connect({ host: endpoint.host, port: endpoint.port });
  const done = new Promise<string>((resolve) => {
    socket.on("error", (error) => resolve(reasonOf(error)));
    socket.once("connect", () => resolve(""));
  });
  const error = await Promise.race([done, time.soon.then(() => TIMED_OUT)]);
  if (error === "") return { socket };
  socket.destroy();
  return { error };
}

/** Whether anything but loopback is up. Where that may not be asked, it is taken to be. */
function hasNetwork(): boolean {
  try {
    return Object.values(networkInterfaces()).flat().some((it) => it?.internal === false);
  } catch {
    return true;
  }
}

/** Why there was no connection, and what to do. */
export function connectFault(error: string, endpoint: Endpoint, timeoutMs: number, whose: string): Finding {
  const where = endpointText(endpoint);
  if (error === NOT_CAPABLE) {
    return fail("Deno does not allow it", grantCure(lackingFlags(endpoint) ?? `--allow-net=${where}`));
  }
  // Bun says ECONNREFUSED of every connection that the kernel refuses, also where there is no route.
  if ("host" in endpoint && !isLoopback(endpoint.host) && error !== TIMED_OUT && !hasNetwork()) {
    return fail(`there is no network here to reach it by (${error})`, NO_NETWORK);
  }
  switch (error) {
    case "ECONNREFUSED":
      return fail(`nothing listens there (${error})`, `Start ${whose}, or correct the address ${where}`);
    case "ENOENT":
      return fail(
        `there is no such socket file (${error})`,
        `Start ${whose}, and mount the folder of the socket into this container`,
      );
    case "EACCES":
    case "EPERM":
      return "path" in endpoint
        ? fail(
          `this user may not open it (${error})`,
          `Give this user read and write access to ${endpoint.path}`,
        )
        : fail(
          `the kernel forbids it (${error})`,
          `Allow connections to ${where} in the sandbox or seccomp profile`,
        );
    case "ENOTSOCK":
      return fail(`the file is no socket (${error})`, "Correct the path");
    case "ENETUNREACH":
    case "EHOSTUNREACH":
    case "EADDRNOTAVAIL":
      return fail(`there is no route to it (${error})`, "Correct the routes of this machine or the address");
    case TIMED_OUT:
      return fail(
        `no answer within ${timeoutMs} ms: packets are lost on the way`,
        `Allow TCP to ${where} in firewalls and network policies, or set HTTPS_PROXY where a proxy is the only way out`,
      );
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return nameFault(Object.assign(new Error(error), { code: error }));
    default:
      return fail(`it cannot be reached (${error})`, `Check ${whose} and the address ${where}`);
  }
}
