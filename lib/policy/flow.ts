/**
 * What a policy judges: one request or connection, by who sends it, where it goes and, for HTTP, what it asks for.
 *
 * Workloads are known by the image and namespace of their tokens, never by an address; only what is outside has one.
 *
 * @module
 */
import type { Mode } from "./mode.ts";

/** Into a container from outside, from container to container, or from a container to the outside. */
export type Direction = "north-south" | "east-west" | "egress";

export const DIRECTIONS: readonly Direction[] = ["north-south", "east-west", "egress"];

/** How it is carried: as HTTP requests that are read, or as bytes that are not. */
export type Protocol = "http" | "tcp";

/** Workloads of one image and namespace: every replica of a container is in the same one. */
export interface Group {
  readonly namespace: string;
  /** Without tag and digest; `~AGENT` when the token enrols no image. */
  readonly image: string;
  /** `NAMESPACE/IMAGE`. */
  readonly id: string;
}

/** Who sends. `outside` is a visitor, known by its address alone; empty when it has none, as on a unix socket. */
export type Source =
  | { readonly kind: "group"; readonly group: Group }
  | { readonly kind: "outside"; readonly address: string };

/** Where it goes: a service of a group, or a host outside by the name or address that the caller asked for. */
export type Destination =
  | { readonly kind: "service"; readonly group: Group; readonly service: string }
  | {
    readonly kind: "host";
    readonly host: string;
    readonly port: number;
    /** The address that the name was resolved to, once that is known: rules for networks are about it too. */
    readonly address?: string;
  };

/** What of a request is judged. */
export interface HttpRequestFacts {
  readonly method: string;
  /** Lower-case, no port. */
  readonly host: string;
  /** As it was sent, without the query. */
  readonly path: string;
  /** Type and subtype in lower case, without parameters; empty when the request has no body or names none. */
  readonly contentType: string;
}

/** One request or connection. `http` is there when the protocol is `http`. */
export interface Flow {
  readonly direction: Direction;
  readonly protocol: Protocol;
  readonly source: Source;
  readonly destination: Destination;
  readonly http?: HttpRequestFacts;
}

/** The name for every address that lies in no named network. */
export const INTERNET = "internet";

/** The longest id of a group: a namespace of 63, an image of 512, a slash and a tilde. */
export const GROUP_ID_CHARS_MAX = 577;

/**
 * The group of a container.
 *
 * @param image As in the token, with or without tag and digest; empty when none was enrolled.
 * @param agent The name in the token: what knows nothing of its image is a group of its own by that name.
 *
 * @example groupOf("shop", "ghcr.io/acme/web:1.2", "web-1").id // "shop/ghcr.io/acme/web"
 */
export function groupOf(namespace: string, image: string, agent: string): Group {
  const plain = image === "" ? `~${agent}` : withoutTag(image);
  return { namespace, image: plain, id: `${namespace}/${plain}` };
}

/** The group of an id: the namespace ends at the first slash. @returns `undefined` when it is none. */
export function parseGroupId(id: string): Group | undefined {
  const at = id.indexOf("/");
  if (id.length > GROUP_ID_CHARS_MAX || at < 1 || at === id.length - 1) return undefined;
  return { namespace: id.slice(0, at), image: id.slice(at + 1), id };
}

/** A reference without `@sha256:…` and `:tag`; a colon before the last slash is the port of a registry. */
function withoutTag(image: string): string {
  const bare = image.split("@")[0]!;
  const at = bare.indexOf(":", bare.lastIndexOf("/") + 1);
  return at < 0 ? bare : bare.slice(0, at);
}

/** What was found to differ from what is known. */
export type DeviationKind = "edge" | "route" | "method" | "contentType";

export interface Deviation {
  readonly kind: DeviationKind;
  /** What came: for an edge its ends, else the route, method or content type. Bounded, printable by the caller. */
  readonly observed: string;
  /** What is known in its place, in words; at most a few examples. */
  readonly expected: string;
}

/** What happened to the flow. `audited` is forwarded with an event. */
export type Verdict = "forwarded" | "audited" | "dropped";

/** What is to happen. */
export type Effect = "allow" | "alert" | "prevent";

/** Why a judgement is as it is. */
export type Reason =
  /** A rule of the policy matched both ends; `index` is its place, from 0. */
  | { readonly kind: "rule"; readonly index: number; readonly id: string }
  /** It is in the learned model. `rule` is the one that lets what is learned pass, if one matched. */
  | { readonly kind: "learned"; readonly rule?: { readonly index: number; readonly id: string } }
  /** It is in no model, and the mode is `learn`. */
  | { readonly kind: "learning"; readonly deviation: Deviation }
  /** It is in no model and no rule: the mode decides. */
  | { readonly kind: "implicit"; readonly deviation: Deviation }
  /** No policy is loaded. */
  | { readonly kind: "closed" };

/** What a policy says of a flow, and why. */
export interface Judgement {
  readonly verdict: Verdict;
  readonly effect: Effect;
  readonly reason: Reason;
  /** The mode that was in force: the stricter one of both ends. */
  readonly mode: Mode;
  /** Which end it is of. */
  readonly modeOf: "source" | "destination" | "default";
  /** The name of the source as models and events write it: the id of its group, or the name of its network. */
  readonly sourceName: string;
}

/** The word for what happens under an effect. */
export const VERDICT_OF: Readonly<Record<Effect, Verdict>> = {
  allow: "forwarded",
  alert: "audited",
  prevent: "dropped",
};

/** A reason in one word, as edges keep it: the id of the rule, or learned, learning, implicit, closed. */
export function ruleNameOf(reason: Reason): string {
  return reason.kind === "rule" ? reason.id : reason.kind;
}
