/**
 * What the view of links says of agents: in numbers, in words, and what stands out.
 *
 * What the token of an agent says is enrolled; what the agent says of itself is a claim, and is called so.
 *
 * @module
 */
import { plural } from "../core/format.ts";
import type { GoneLink } from "../core/gone.ts";
import type { Link } from "../core/types.ts";
import { visible } from "../core/visible.ts";

export type WallState = Link["wall"]["state"];
export const WALL_STATES: readonly WallState[] = ["broken", "unknown", "whole"];

export interface LinkFilter {
  /** Looked for in all that is shown; empty is anything. */
  readonly text: string;
  readonly wall: WallState | undefined;
}

/** Something an agent says of itself. */
export interface Claim {
  readonly label: string;
  readonly value: string;
}

const CLAIM_LABELS: Readonly<Record<string, string>> = {
  containerName: "Container",
  containerId: "Container id",
  hostname: "Hostname",
  podName: "Pod",
  podNamespace: "Namespace of the pod",
  image: "Image",
  version: "Version",
  runtime: "Runtime",
};
/** As container engines shorten ids. */
const SHORT_ID_CHARS = 12;

/** One name for each link: an agent may hold several. */
export function linkKey({ agent, peer, since }: Link): string {
  return `${agent} ${peer} ${since}`;
}

/** The links that a filter leaves, by the name of the agent. */
export function selectLinks(links: readonly Link[], { text, wall }: LinkFilter): Link[] {
  const wanted = text.trim().toLowerCase();
  return links
    .filter((link) => (wall === undefined || link.wall.state === wall) && textOf(link).includes(wanted))
    .sort((a, b) => compare(a.agent, b.agent) || compare(a.since, b.since) || compare(a.peer, b.peer));
}

/** Those that are gone and that a filter leaves, the last that went first: nobody knows of a wall any more. */
export function selectGone(gone: readonly GoneLink[], { text, wall }: LinkFilter): GoneLink[] {
  const wanted = text.trim().toLowerCase();
  return wall === undefined ? gone.filter(({ link }) => textOf(link).includes(wanted)) : [];
}

/** Such as `3 agents, 4 services, 1 wall broken`. */
export function summaryOf(links: readonly Link[]): string {
  const agents = new Set(links.map(({ agent }) => agent)).size;
  const services = new Set(links.flatMap(({ services }) => services)).size;
  const walls = (state: WallState): number => links.filter(({ wall }) => wall.state === state).length;
  const leaving = links.filter((link) => link.leaving).length;
  const parts = [plural(agents, "agent"), plural(services, "service")];
  if (links.length > agents) parts.splice(1, 0, plural(links.length, "link"));
  const broken = walls("broken");
  const unknown = walls("unknown");
  parts.push(broken === 0 ? "no wall broken" : `${plural(broken, "wall")} broken`);
  if (unknown > 0) parts.push(`${plural(unknown, "wall")} unknown`);
  if (leaving > 0) parts.push(`${leaving} leaving`);
  return parts.join(", ");
}

/** What an agent, or whoever has a token, may call; empty when nothing. */
export function callsOf({ reach, egress }: Pick<Link, "reach" | "egress">): string {
  const names = reach.map((name) => name === "*" ? "any service" : name);
  return [...names, ...(egress ? ["the outside"] : [])].join(", ");
}

/** What the agent claims, known names first. */
export function claimsOf({ claimed }: Link): Claim[] {
  const known = Object.keys(CLAIM_LABELS).filter((name) =>
    claimed[name] !== undefined && claimed[name] !== ""
  );
  const others = Object.keys(claimed).filter((name) => !Object.hasOwn(CLAIM_LABELS, name)).sort();
  return [...known, ...others].map((name) => ({
    label: Object.hasOwn(CLAIM_LABELS, name) ? CLAIM_LABELS[name]! : visible(name),
    value: visible(claimed[name]!),
  }));
}

/**
 * What becomes of an agent that is to be added, beside those that are linked; empty when nothing is there of it.
 *
 * @param agent Its name, its service, and whether that is to take raw connections.
 */
export function joinWords(
  links: readonly Link[],
  agent: { readonly name: string; readonly service: string; readonly isRaw: boolean },
): { readonly text: string; readonly isRefused: boolean } {
  const { name, service, isRaw } = agent;
  const serving = links.filter(({ services }) => services.includes(service));
  if (serving.some(({ tcp }) => tcp.includes(service) !== isRaw)) {
    const [now, then] = isRaw ? ["HTTP", "raw connections"] : ["raw connections", "HTTP"];
    return {
      text:
        `${service} is served as ${now}: an agent that serves it as ${then} is refused. Take another name.`,
      isRefused: true,
    };
  }
  const others = [...new Set(serving.map((link) => link.agent))].filter((other) => other !== name).sort();
  const by = others.length > 2 ? plural(others.length, "agent") : others.join(" and ");
  const texts = [
    ...(serving.length === 0 ? [] : [
      `It joins ${service}${by === "" ? "" : `, which ${by} serve${others.length > 1 ? "" : "s"}`}: ` +
      `${isRaw ? "connections" : "requests"} are shared between them.`,
    ]),
    ...(links.every(({ agent }) => agent !== name) ? [] : [
      `An agent ${name} is linked already: events and this page will not tell the two apart.`,
    ]),
  ];
  return { text: texts.join(" "), isRefused: false };
}

/** The shortest thing that tells a container: its name, else its id, else its host. */
export function containerText({ claimed }: Link): string {
  return visible(
    claimed["containerName"] || claimed["containerId"]?.slice(0, SHORT_ID_CHARS) || claimed["hostname"] || "",
  );
}

/** Where what the agent claims is not what its token says. */
export function differencesOf({ image, namespace, claimed }: Link): string[] {
  const found: string[] = [];
  const compareWith = (what: string, enrolled: string, claim: string | undefined): void => {
    if (claim === undefined || claim === "" || enrolled === "" || claim === enrolled) return;
    found.push(`Its token says ${what} ${enrolled}, but it claims ${visible(claim)}`);
  };
  compareWith("image", image, claimed["image"]);
  compareWith("namespace", namespace, claimed["podNamespace"]);
  return found;
}

/** What is to be known of a wall, in a sentence, and then each thing by itself. */
export function wallWords({ wall }: Link): { readonly text: string; readonly details: readonly string[] } {
  const { state, listeners } = wall;
  // Names of programs stand in them.
  const exposed = wall.exposed.map(visible);
  const faults = wall.faults.map(visible);
  const listening = plural(listeners, "socket");
  if (state === "whole") {
    return { text: `Nobody outside can connect to it (${listening} on loopback listen)`, details: faults };
  }
  if (state === "broken") {
    return { text: "Others can connect to it past the gateway, by:", details: [...exposed, ...faults] };
  }
  return { text: "It cannot be told who could connect to it:", details: [...faults, ...exposed] };
}

/** A sentence on whose traffic cannot be held back; empty when there is none. */
export function brokenText(links: readonly Link[]): string {
  const names = [...new Set(links.filter(({ wall }) => wall.state === "broken").map(({ agent }) => agent))];
  if (names.length === 0) return "";
  const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
  return `${
    names.sort().slice(0, 3).join(", ")
  }${more}: others can connect past the gateway, so nothing holds ` +
    "there. Let what listens listen on 127.0.0.1 alone, then the wall is whole within a minute.";
}

function textOf(link: Link): string {
  const { agent, group, image, peer, services, reach, claimed } = link;
  return [agent, group, image, peer, ...services, ...reach, ...Object.values(claimed)].join("\n")
    .toLowerCase();
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
