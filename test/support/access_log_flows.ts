/**
 * Flows as a real gateway recorded them: its access log, read back.
 *
 * Only lines that carry a verdict are flows: a connection that carried requests is told by its requests.
 *
 * @module
 */
import {
  type Direction,
  type Flow,
  type Group,
  parseGroupId,
  type Source,
  type Verdict,
} from "../../lib/policy/flow.ts";
import type { RecordedFlow } from "./recorded_flow.ts";

/** A line of the log, as far as it is read here. */
interface Line {
  readonly time: string;
  readonly message: string;
  readonly direction?: Direction;
  /** The id of a group, or the name of a network. */
  readonly from?: string;
  readonly verdict?: Verdict;
  readonly service?: string;
  /** Requests: the address of the visitor, or the name of the agent that called. */
  readonly visitor?: string;
  readonly method?: string;
  readonly host?: string;
  readonly target?: string;
  readonly contentType?: string;
  readonly status?: number;
  /** Connections: the address of the visitor, or the name of the agent. */
  readonly source?: string;
  /** Egress: HOST:PORT. */
  readonly destination?: string;
  readonly failure?: string;
}

/** A flow of the log, with what was said of it then. */
export interface LoggedFlow extends RecordedFlow {
  readonly verdict: Verdict;
}

/**
 * Reads an access log.
 *
 * @param log Lines of JSON; what is none, such as a banner, is left out.
 * @param groups By service: who serves it.
 * @throws {Error} A service that nobody is known to serve.
 */
export function loggedFlows(log: string, groups: ReadonlyMap<string, Group>): LoggedFlow[] {
  return log.split("\n").flatMap((text) => {
    if (!text.startsWith("{")) return [];
    const line = JSON.parse(text) as Line;
    const { direction, verdict } = line;
    if (direction === undefined || verdict === undefined) return [];
    const name = line.visitor ?? line.source ?? "";
    const flow: Flow = {
      direction,
      protocol: line.message === "request" ? "http" : "tcp",
      source: sourceOf(line, name),
      destination: destinationOf(line, groups),
      ...(line.message !== "request" ? {} : { http: httpOf(line) }),
    };
    const ok = line.message === "request"
      ? line.status !== undefined && line.status > 0 && line.status < 400
      // What its caller cut off stood until then.
      : line.failure === undefined || line.message === "connection cut off";
    const quotaKey = flow.source.kind === "outside" ? name : `agent:${name}`;
    return [{ atMs: Date.parse(line.time), flow, quotaKey, ok, isNoise: false, verdict }];
  });
}

function sourceOf({ direction, from = "" }: Line, name: string): Source {
  if (direction === "north-south") return { kind: "outside", address: name };
  const group = parseGroupId(from);
  if (group === undefined) throw new Error(`Cannot read the log: "${from}" is no group`);
  return { kind: "group", group };
}

function destinationOf(
  { direction, service = "", destination = "" }: Line,
  groups: ReadonlyMap<string, Group>,
): Flow["destination"] {
  if (direction === "egress") {
    const colon = destination.lastIndexOf(":");
    return { kind: "host", host: destination.slice(0, colon), port: Number(destination.slice(colon + 1)) };
  }
  const group = groups.get(service);
  if (group === undefined) throw new Error(`Cannot read the log: nobody is known to serve "${service}"`);
  return { kind: "service", group, service };
}

function httpOf({ method = "", host = "", target = "", contentType = "" }: Line): NonNullable<Flow["http"]> {
  return { method, host, path: target.split("?")[0]!, contentType };
}
