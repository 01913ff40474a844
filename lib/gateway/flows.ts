/**
 * What is judged of a request or a connection, made from what the gateway knows of its ends.
 *
 * @module
 */
import type { Visit } from "../http/visit.ts";
import type { Flow, Source } from "../policy/flow.ts";
import type { Attachment } from "../routing/registry.ts";
import type { BodyTap } from "../traffic/recordings.ts";
import type { Passage, PassageEnds } from "./passage.ts";

/** A visit as the gateway goes on with it. */
export interface GatewayVisit extends Visit {
  /** The agent that calls, when it is no visitor from outside. */
  readonly caller: Attachment | undefined;
  /** What was judged of it, once there was somebody to forward it to. */
  passage: Passage | undefined;
  /** Its bodies, while they are recorded. */
  bodies?: BodyTap | undefined;
  /** The id of the request that it repeats. */
  readonly replayOf?: string | undefined;
}

/** A request: it goes to whoever takes it. */
export function requestEnds(visit: GatewayVisit, to: Attachment): PassageEnds {
  const { caller, reading, service } = visit;
  const { userAgent, contentType } = headFacts(reading.fields, reading.hasBody);
  const flow: Flow = {
    direction: caller === undefined ? "north-south" : "east-west",
    protocol: "http",
    source: sourceOf(caller, visit.address),
    destination: { kind: "service", group: to.group, service },
    http: {
      method: reading.method,
      host: reading.host,
      path: reading.paths[0]!,
      contentType,
    },
  };
  const request = { id: visit.id, userAgent, isReplay: visit.replayOf !== undefined };
  return { flow, from: caller, to, request };
}

/** A raw connection to a service: of a visitor at `address`, or of an agent. */
export function connectionEnds(
  from: Attachment | undefined,
  address: string,
  service: string,
  to: Attachment,
): PassageEnds {
  const flow: Flow = {
    direction: from === undefined ? "north-south" : "east-west",
    protocol: "tcp",
    source: sourceOf(from, address),
    destination: { kind: "service", group: to.group, service },
  };
  return { flow, from, to };
}

/** A call to the outside. @param host As rules are written: lower-case, an address in its usual form. */
export function egressEnds(from: Attachment, host: string, port: number): PassageEnds {
  const flow: Flow = {
    direction: "egress",
    protocol: "tcp",
    source: { kind: "group", group: from.group },
    destination: { kind: "host", host, port },
  };
  return { flow, from, to: undefined };
}

function sourceOf(from: Attachment | undefined, address: string): Source {
  if (from !== undefined) return { kind: "group", group: from.group };
  // A zone (RFC 4007 §11) is of this machine alone: with it, a link-local address would be in no network.
  const zone = address.indexOf("%");
  return { kind: "outside", address: zone < 0 ? address : address.slice(0, zone) };
}

/** The longest content type that is looked at: RFC 6838 §4.2 allows 127 for each half. */
const CONTENT_TYPE_CHARS_MAX = 255;

function headFacts(
  fields: readonly string[],
  hasBody: boolean,
): { userAgent: string | undefined; contentType: string } {
  let userAgent: string | undefined;
  let contentType = "";
  for (let i = 0; i < fields.length; i += 2) {
    const { length } = fields[i]!;
    if (length === 10 && userAgent === undefined && fields[i]!.toLowerCase() === "user-agent") {
      userAgent = fields[i + 1]!;
    } else if (length === 12 && hasBody && fields[i]!.toLowerCase() === "content-type") {
      // Two of them are one that nobody knows: no reading of either lets the other pass.
      contentType += `${contentType === "" ? "" : ","}${essenceOf(fields[i + 1]!)}`;
    }
  }
  return { userAgent, contentType };
}

/** Type and subtype alone, in lower case. Source: RFC 9110 §8.3.1. */
function essenceOf(value: string): string {
  const at = value.indexOf(";");
  return (at < 0 ? value : value.slice(0, at)).trim().toLowerCase().slice(0, CONTENT_TYPE_CHARS_MAX);
}
