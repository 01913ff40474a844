/**
 * Turns what was judged into the event that tells of it.
 *
 * @module
 */
import { EVENT_TEXT_CHARS_MAX, type EventEnd, type EventType, type Noticed } from "../events/event.ts";
import type { RateLimitRule } from "../policy/document.ts";
import type { Deviation, Judgement, Source } from "../policy/flow.ts";
import type { Attachment } from "../routing/registry.ts";
import type { PassageEnds } from "./passage.ts";

/** What else an event needs. */
export interface NoticeContext {
  readonly nowMs: number;
  readonly policyVersion: number;
  /** What the staged policy says, or this one in the mode prevent. */
  readonly pending: Judgement;
  /** The route that a path falls under. */
  readonly route: string | undefined;
  /** How it was answered, if that is known already. */
  readonly status?: number | undefined;
}

/** An event of a flow that was not simply forwarded. */
export function noticeOf(ends: PassageEnds, judgement: Judgement, context: NoticeContext): Noticed {
  const { flow } = ends;
  const { reason, effect, verdict, mode } = judgement;
  const deviation = reason.kind === "implicit" || reason.kind === "learning" ? reason.deviation : undefined;
  const type: EventType = verdict === "forwarded"
    ? "stagedVerdict"
    : deviation === undefined
    ? "policyRule"
    : deviation.kind === "edge"
    ? "unexpectedConnection"
    : "unexpectedRequest";
  return {
    time: context.nowMs,
    type,
    // What nobody knows and what got through all the same is the worst that can be told here.
    severity: type === "stagedVerdict"
      ? "info"
      : verdict === "audited" && type === "unexpectedConnection"
      ? "critical"
      : "warning",
    ...{ direction: flow.direction, protocol: flow.protocol, mode, effect, verdict },
    pendingVerdict: context.pending.verdict,
    rule: ruleOf(judgement),
    pendingRule: ruleOf(context.pending),
    ...(deviation === undefined ? {} : { deviation: bounded(deviation) }),
    source: sourceEnd(flow.source, judgement.sourceName, ends.from),
    destination: destinationEnd(ends),
    ...requestOf(ends, context.status, context.route),
    message: messageOf(ends, judgement, deviation),
    policyVersion: context.policyVersion,
  };
}

/** What an event says of a request; nothing of a raw connection. */
function requestOf(
  { flow: { http }, request }: PassageEnds,
  status: number | undefined,
  route?: string,
): Pick<Noticed, "http"> {
  if (http === undefined) return {};
  return {
    http: {
      method: cut(http.method),
      host: cut(http.host),
      path: cut(http.path),
      ...(route === undefined ? {} : { route: cut(route) }),
      ...(status === undefined ? {} : { status }),
      contentType: cut(http.contentType),
      ...(request?.userAgent === undefined ? {} : { userAgent: cut(request.userAgent) }),
      requestId: request?.id ?? "",
    },
  };
}

/** Something was refused before any policy was asked: by a token, by the gateway's own rules, by a limit. */
export function refusalNotice(
  ends: PassageEnds,
  sourceName: string,
  nowMs: number,
  why: { type: "policyRule" | "rateLimit"; rule: Noticed["rule"]; message: string },
): Noticed {
  const { flow } = ends;
  return {
    time: nowMs,
    ...{ type: why.type, severity: "warning", effect: "prevent", verdict: "dropped", rule: why.rule },
    ...{ direction: flow.direction, protocol: flow.protocol },
    source: sourceEnd(flow.source, sourceName, ends.from),
    destination: destinationEnd(ends),
    ...requestOf(ends, why.type === "rateLimit" ? LIMITED_STATUS : undefined),
    message: cut(why.message),
  };
}

/** A source is over a limit, or banned for having been. */
export function limitNotice(
  ends: PassageEnds,
  sourceName: string,
  nowMs: number,
  { limit: { id, requests, seconds }, banned }: { readonly limit: RateLimitRule; readonly banned: boolean },
): Noticed {
  const { source, destination } = ends.flow;
  const who = source.kind === "outside" ? source.address : sourceName;
  const to = destination.kind === "service" ? destination.service : "the outside";
  const then = banned ? ", and is refused for a while" : "";
  return refusalNotice(ends, sourceName, nowMs, {
    type: "rateLimit",
    rule: { kind: banned ? "ban" : "rateLimit", id },
    message: `${who} made more than ${requests} requests in ${seconds} s to ${to}${then}`,
  });
}

/** A call to a service that no agent serves right now: there is no other end to tell of, but who tries names is. */
export function unservedNotice(
  from: Attachment,
  service: string,
  nowMs: number,
  kind: "token" | "implicit",
): Noticed {
  const name = cut(service);
  return {
    ...{
      time: nowMs,
      type: "unexpectedConnection",
      severity: "warning",
      effect: "prevent",
      verdict: "dropped",
    },
    ...{ rule: { kind }, direction: "east-west", source: workloadEnd(from.group.id, from) },
    deviation: { kind: "edge", observed: name, expected: "" },
    message: cut(
      `${from.group.id} called ${JSON.stringify(name)}, which nobody serves right now, and was refused`,
    ),
  };
}

function ruleOf({ reason }: Judgement): Noticed["rule"] {
  if (reason.kind === "rule") return { kind: "rule", id: reason.id, index: reason.index };
  if (reason.kind === "learned" && reason.rule) return { kind: "learned", ...reason.rule };
  return { kind: reason.kind };
}

function bounded({ kind, observed, expected }: Deviation): Deviation {
  return { kind, observed: cut(observed), expected: cut(expected) };
}

function sourceEnd(source: Source, name: string, from: Attachment | undefined): EventEnd {
  if (source.kind === "outside") return { kind: "network", name, ip: cut(source.address) };
  return workloadEnd(name, from);
}

function destinationEnd({ flow, to }: PassageEnds): EventEnd {
  const { destination } = flow;
  if (destination.kind === "host") {
    const host = cut(destination.host);
    const shown = host.includes(":") ? `[${host}]` : host;
    return { kind: "host", name: `${shown}:${destination.port}`, host, port: destination.port };
  }
  const { service, group } = destination;
  const port = to?.ports.get(service);
  return { ...workloadEnd(group.id, to), service, ...(port === undefined ? {} : { port }) };
}

/** What the agent only claims says so by its name. */
function workloadEnd(name: string, attachment: Attachment | undefined): EventEnd {
  if (attachment === undefined) return { kind: "workload", name };
  const { namespace, image, agent, claimed } = attachment;
  const { containerId, containerName, hostname } = claimed;
  return {
    ...{ kind: "workload", name, namespace, agent },
    ...(image === "" ? {} : { image }),
    ...(containerId === undefined ? {} : { claimedContainerId: containerId }),
    ...(containerName === undefined ? {} : { claimedContainerName: containerName }),
    ...(hostname === undefined ? {} : { claimedHostname: cut(hostname) }),
  };
}

/** What a visitor over a limit gets. */
const LIMITED_STATUS = 429;

const DEVIATION_WORDS: Readonly<Record<Deviation["kind"], string>> = {
  edge: "which it never did before",
  route: "a route that it never asked for before",
  method: "a method that it never used there before",
  contentType: "with a content type that it never sent there before",
};

function messageOf(ends: PassageEnds, judgement: Judgement, deviation: Deviation | undefined): string {
  const { destination, http } = ends.flow;
  const to = destination.kind === "host"
    ? `${destination.host}:${destination.port}`
    : `${destination.service} of ${destination.group.id}`;
  const what = http === undefined ? `connected to ${to}` : `asked ${to} for ${http.method} ${http.path}`;
  const { reason } = judgement;
  const why = deviation !== undefined
    ? DEVIATION_WORDS[deviation.kind]
    : reason.kind === "rule"
    ? `which the rule ${reason.id} does not want`
    : "which is not allowed";
  if (judgement.verdict === "forwarded") {
    return cut(`${judgement.sourceName} ${what}, which the staged policy does not want`);
  }
  const did = judgement.verdict === "dropped" ? "and was refused" : "and was let through";
  return cut(`${judgement.sourceName} ${what}, ${why}, ${did}`);
}

function cut(text: string): string {
  return text.length <= EVENT_TEXT_CHARS_MAX ? text : `${text.slice(0, EVENT_TEXT_CHARS_MAX - 1)}…`;
}
