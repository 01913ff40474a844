/**
 * Makes the rule that allows what an event was about: for the image and namespace of its source, so that every
 * replica may do it and nobody else.
 *
 * @module
 */
import type { NetwallEvent } from "../events/event.ts";
import { type PolicyRule, ruleSchema } from "../policy/document.ts";
import { parseGroupId } from "../policy/flow.ts";

/** @returns `undefined` when the event is of no flow. @param taken Ids of rules that are there. */
export function allowingRule(event: NetwallEvent, taken: ReadonlySet<string>): PolicyRule | undefined {
  const { type, source, destination, direction, protocol, http, deviation } = event;
  if (source === undefined || destination === undefined || direction === undefined) return undefined;
  const from = parseGroupId(source.name);
  const to = parseGroupId(destination.name);
  const ends = {
    source: source.kind === "network" ? { network: source.name } : from && members(from),
    destination: destination.kind === "host"
      ? { host: destination.host, ports: [destination.port] }
      : to && { ...members(to), service: destination.service },
  };
  if (ends.source === undefined || ends.destination === undefined) return undefined;
  // One that stands for many that differ has no deviation of its own: its last request is not what it is about.
  if (type === "unexpectedRequest" && deviation === undefined) return undefined;
  // A request that a rule refused is allowed as it was: a rule for the whole edge would lift all other rules for it.
  const isPart = http !== undefined && deviation?.kind !== "edge";
  const parsed = ruleSchema.safeParse({
    id: freeId(
      `allow-${slug(from?.image ?? source.name)}-${slug(destination.host ?? destination.service ?? "")}`,
      taken,
    ),
    comment: `Made from event ${event.id}: ${event.message}`.slice(0, 512),
    ...{ direction, protocol, ...ends, effect: "allow" },
    ...(isPart
      ? {
        http: {
          methods: [http.method],
          paths: [http.route ?? http.path],
          ...(deviation?.kind === "contentType" ? { contentTypes: [http.contentType ?? ""] } : {}),
        },
      }
      : {}),
  });
  return parsed.success ? parsed.data : undefined;
}

function members({ namespace, image }: { namespace: string; image: string }): {
  namespace: string;
  image: string;
} {
  return { namespace, image };
}

/** Letters, digits and hyphens of the end of a name, which says most of an image. */
function slug(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(-22).replace(/^-+/, "");
}

function freeId(wanted: string, taken: ReadonlySet<string>): string {
  const id = wanted.replace(/-+$/, "");
  if (!taken.has(id)) return id;
  let number = 2;
  while (taken.has(`${id}-${number}`)) number++;
  return `${id}-${number}`;
}
