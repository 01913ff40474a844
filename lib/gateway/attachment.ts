/**
 * What a link is, by its token and by what its agent says in HELLO.
 *
 * The token decides: what may be served, and the image and namespace that policies are about. What the agent says of
 * its container is kept beside it, bounded, and shown as a claim wherever it is shown.
 *
 * @module
 */
import { mayServe, type TokenClaims } from "../auth/token.ts";
import type { Session } from "../mux/session.ts";
import { groupOf } from "../policy/flow.ts";
import type { Attachment, Registry } from "../routing/registry.ts";
import { isServiceName } from "../service_name.ts";
import { type Hello, helloField } from "../wire/hello.ts";

/** Services of one link. */
export const LINK_SERVICES_MAX = 256;
/** The longest claim that is kept. */
export const CLAIM_CHARS_MAX = 255;

/** Why a link is not put to work. `identity` is for good; `refused` may pass. */
export interface AttachmentRefusal {
  readonly code: "identity" | "refused";
  readonly refusal: string;
}

/** Reads a HELLO against a token. */
export function attachmentOf(
  session: Session,
  claims: TokenClaims,
  hello: Hello,
  registry: Pick<Registry, "isServedOtherwise">,
): Attachment | AttachmentRefusal {
  const services = namesIn(helloField(hello, "services"));
  const identity = (reason: string): AttachmentRefusal => ({
    code: "identity",
    refusal: `The agent ${claims.name} ${reason}`,
  });
  if (services.length === 0 && !claims.egress && claims.reach.length === 0) {
    return identity(
      "names no service and its token allows no calls: add --serve to it, or --reach or --egress to its token",
    );
  }
  if (services.length > LINK_SERVICES_MAX) return identity(`names more than ${LINK_SERVICES_MAX} services`);
  const denied = services.find((service) => !isServiceName(service) || !mayServe(claims, service));
  if (denied !== undefined) {
    return identity(`may not serve ${JSON.stringify(denied.slice(0, 63))}: mint a token with --serve for it`);
  }
  const tcp = new Set(namesIn(helloField(hello, "tcp")).filter((name) => services.includes(name)));
  const otherwise = services.find((name) => registry.isServedOtherwise(name, tcp.has(name) ? "tcp" : "http"));
  if (otherwise !== undefined) {
    // It may come again: the others may be gone by then.
    const way = tcp.has(otherwise) ? "as HTTP" : "as raw connections";
    return {
      code: "refused",
      refusal: `Other agents serve ${otherwise} ${way}: serve it in the same way`,
    };
  }
  return {
    session,
    agent: claims.name,
    tokenId: claims.id,
    namespace: claims.namespace,
    image: claims.image,
    group: groupOf(claims.namespace, claims.image, claims.name),
    services,
    tcp,
    ports: portsIn(helloField(hello, "ports"), services),
    reach: claims.reach,
    egress: claims.egress,
    sinceMs: Date.now(),
    claimed: claimedIn(hello),
  };
}

const CLAIMS = ["hostname", "version", "runtime", "containerName", "podName", "podNamespace"];

function claimedIn(hello: Hello): Record<string, string> {
  const claimed: Record<string, string> = {};
  for (const name of CLAIMS) {
    const value = helloField(hello, name);
    if (value !== undefined) claimed[name] = value.slice(0, CLAIM_CHARS_MAX);
  }
  const id = helloField(hello, "containerId") ?? "";
  if (/^[0-9a-f]{12,64}$/.test(id)) claimed["containerId"] = id;
  return claimed;
}

/** `SERVICE:PORT,…`; what is neither a service of the link nor a port is left out. */
function portsIn(list: string | undefined, services: readonly string[]): ReadonlyMap<string, number> {
  const ports = new Map<string, number>();
  for (const item of (list ?? "").split(",").slice(0, LINK_SERVICES_MAX)) {
    const [service = "", digits = ""] = item.split(":");
    const port = /^[1-9]\d{0,4}$/.test(digits) ? Number(digits) : 0;
    if (port > 0 && port <= 65_535 && services.includes(service)) ports.set(service, port);
  }
  return ports;
}

/** The names of a list in HELLO, each once. */
function namesIn(list: string | undefined): string[] {
  return [...new Set((list ?? "").split(",").filter((name) => name !== ""))];
}
