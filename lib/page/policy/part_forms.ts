/**
 * Modes, networks and rate limits as the fields of forms, and back.
 *
 * @module
 */
import type { PolicyMode } from "../core/types.ts";
import type { RateLimit, Spec } from "./differences.ts";
import { type Formed, wordsOf } from "./rule_form.ts";

export interface ModeForm {
  readonly namespace: string;
  readonly image: string;
  readonly direction: string;
  readonly mode: PolicyMode["mode"];
}

export function formOfMode(entry?: PolicyMode): ModeForm {
  const { namespace = "", image = "", direction = "", mode = "alert" } = entry ?? {};
  return { namespace, image, direction, mode };
}

/** Whoever fills in a form sets the mode by hand. */
export function modeOfForm({ namespace, image, direction, mode }: ModeForm): PolicyMode {
  return {
    ...(namespace.trim() === "" ? {} : { namespace: namespace.trim() }),
    ...(image.trim() === "" ? {} : { image: image.trim() }),
    ...(direction === "" ? {} : { direction: direction as NonNullable<PolicyMode["direction"]> }),
    mode,
    origin: "manual",
  };
}

export interface NetworkForm {
  readonly name: string;
  readonly cidrs: string;
}

export function formOfNetwork(name = "", cidrs: readonly string[] = []): NetworkForm {
  return { name, cidrs: cidrs.join("\n") };
}

/** Puts a network in its place, or renames it there. @param before Its name until now; empty for a new one. */
export function withNetwork(
  networks: Spec["networks"],
  before: string,
  { name, cidrs }: NetworkForm,
): Spec["networks"] {
  const entry = [name.trim(), wordsOf(cidrs)] as const;
  const entries = Object.entries(networks);
  const isThere = entries.some(([each]) => each === before);
  const next = isThere ? entries.map((each) => each[0] === before ? entry : each) : [...entries, entry];
  return Object.fromEntries(next.map(([each, list]) => [each, [...list]]));
}

/** Rules whose source is a network. */
export function usersOfNetwork(spec: Spec, name: string): string[] {
  return spec.rules.filter(({ source }) => "network" in source && source.network === name).map(({ id }) =>
    id
  );
}

export interface LimitForm {
  readonly id: string;
  readonly service: string;
  readonly requests: string;
  readonly seconds: string;
  readonly burst: string;
  readonly banSeconds: string;
}

export function formOfLimit(limit?: RateLimit): LimitForm {
  if (limit === undefined) {
    return { id: "", service: "", requests: "100", seconds: "1", burst: "", banSeconds: "0" };
  }
  const { id, service = "", requests, seconds, burst = "", banSeconds } = limit;
  return {
    ...{ id, service, requests: String(requests), seconds: String(seconds) },
    ...{ burst: String(burst), banSeconds: String(banSeconds) },
  };
}

/** The limit that a form says, or which of its numbers are none. */
export function limitOfForm(form: LimitForm): Formed<RateLimit> {
  const faults: Record<string, string> = {};
  const numberOf = (field: "requests" | "seconds" | "burst" | "banSeconds"): number => {
    const text = form[field].trim();
    const value = text === "" ? NaN : Number(text);
    if (!Number.isFinite(value)) faults[field] = "write a number";
    return value;
  };
  const { id, service } = form;
  const value: RateLimit = {
    id: id.trim(),
    ...(service.trim() === "" ? {} : { service: service.trim() }),
    requests: numberOf("requests"),
    seconds: numberOf("seconds"),
    ...(form.burst.trim() === "" ? {} : { burst: numberOf("burst") }),
    banSeconds: numberOf("banSeconds"),
  };
  return Object.keys(faults).length > 0 ? { faults } : { value };
}

/** Such as `100 requests in 1 s, 200 at once`. */
export function limitWords({ requests, seconds, burst, banSeconds }: RateLimit): string {
  const parts = [`${requests} in ${seconds} s`];
  if (burst !== undefined) parts.push(`${burst} at once`);
  if (banSeconds > 0) parts.push(`then refused for ${banSeconds} s`);
  return parts.join(", ");
}
