/**
 * A rule as the fields of a form, and back.
 *
 * The gateway alone says what may stand in a rule: here is checked only what has no value that could be sent.
 *
 * @module
 */
import type { PolicyRule } from "../core/types.ts";

export interface RuleForm {
  readonly id: string;
  readonly comment: string;
  readonly enabled: boolean;
  readonly effect: PolicyRule["effect"];
  readonly allowLearned: boolean;
  /** Empty: any. */
  readonly direction: PolicyRule["direction"] | "";
  readonly protocol: PolicyRule["protocol"] | "";
  readonly sourceKind: "any" | "workloads" | "network" | "cidr";
  readonly sourceNamespace: string;
  readonly sourceImage: string;
  readonly sourceNetwork: string;
  readonly sourceCidr: string;
  readonly destinationKind: "any" | "workloads" | "host" | "cidr";
  readonly destinationNamespace: string;
  readonly destinationImage: string;
  readonly destinationService: string;
  readonly destinationHost: string;
  readonly destinationCidr: string;
  readonly destinationPorts: string;
  readonly hosts: string;
  readonly methods: string;
  readonly paths: string;
  readonly contentTypes: string;
  /** Requests that name no content type match too. */
  readonly isUntyped: boolean;
  /** Where the user is, as a field of the browser has it: `2031-01-31T12:00`. */
  readonly expires: string;
  /** What the rule said, to the second and with its own offset. */
  readonly expiresWas: string;
}

/** What is wrong with fields, by their names; under an empty name what is about none. */
export type FormFaults = Readonly<Record<string, string>>;

const EMPTY: RuleForm = {
  ...{
    id: "",
    comment: "",
    enabled: true,
    effect: "allow",
    allowLearned: false,
    direction: "",
    protocol: "",
  },
  ...{ sourceKind: "any", sourceNamespace: "", sourceImage: "", sourceNetwork: "", sourceCidr: "" },
  ...{ destinationKind: "any", destinationNamespace: "", destinationImage: "", destinationService: "" },
  ...{ destinationHost: "", destinationCidr: "", destinationPorts: "" },
  ...{ hosts: "", methods: "", paths: "", contentTypes: "", isUntyped: false, expires: "", expiresWas: "" },
};

/** @param rule Nothing is an empty form. */
export function formOfRule(rule?: PolicyRule): RuleForm {
  if (rule === undefined) return EMPTY;
  const { http = {}, expires = "" } = rule;
  return {
    ...EMPTY,
    ...{ id: rule.id, comment: rule.comment ?? "", enabled: rule.enabled, effect: rule.effect },
    ...{ allowLearned: rule.allowLearned, direction: rule.direction ?? "", protocol: rule.protocol ?? "" },
    ...sourceFields(rule.source),
    ...destinationFields(rule.destination),
    hosts: (http.hosts ?? []).join("\n"),
    methods: (http.methods ?? []).join(" "),
    paths: (http.paths ?? []).join("\n"),
    contentTypes: (http.contentTypes ?? []).filter((type) => type !== "").join("\n"),
    isUntyped: http.contentTypes?.includes("") ?? false,
    expires: expires === "" ? "" : localText(Date.parse(expires)),
    expiresWas: expires,
  };
}

/** What a rule does that names neither who nor where to nor which requests; empty for all others. */
export function breadthWords(form: RuleForm): string {
  const { sourceKind, destinationKind, hosts, methods, paths, contentTypes, isUntyped, effect } = form;
  const isWide = sourceKind === "any" && destinationKind === "any" && !isUntyped &&
    `${hosts}${methods}${paths}${contentTypes}`.trim() === "";
  if (!isWide) return "";
  const what = effect !== "prevent"
    ? "let through, also what the modes would refuse"
    : form.allowLearned
    ? "refused, except what was learned"
    : "refused, also what was learned";
  return `This is about anyone and anywhere: all that no rule before it decides is ${what}.`;
}

function sourceFields(source: PolicyRule["source"]): Partial<RuleForm> {
  if ("network" in source) return { sourceKind: "network", sourceNetwork: source.network };
  if ("cidr" in source) return { sourceKind: "cidr", sourceCidr: source.cidr };
  const { namespace = "", image = "" } = source;
  const sourceKind = namespace === "" && image === "" ? "any" : "workloads";
  return { sourceKind, sourceNamespace: namespace, sourceImage: image };
}

function destinationFields(destination: PolicyRule["destination"]): Partial<RuleForm> {
  const destinationPorts = "ports" in destination ? (destination.ports ?? []).join(" ") : "";
  if ("host" in destination) {
    return { destinationKind: "host", destinationHost: destination.host, destinationPorts };
  }
  if ("cidr" in destination) {
    return { destinationKind: "cidr", destinationCidr: destination.cidr, destinationPorts };
  }
  const { namespace = "", image = "", service = "" } = destination;
  return {
    destinationKind: namespace === "" && image === "" && service === "" ? "any" : "workloads",
    ...{ destinationNamespace: namespace, destinationImage: image, destinationService: service },
  };
}

const two = (value: number): string => String(value).padStart(2, "0");

/** Of a moment, as a field of the browser has it: without zone, where the user is. */
export function localText(ms: number): string {
  const at = new Date(ms);
  const day = `${String(at.getFullYear()).padStart(4, "0")}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

export type Formed<T> =
  | { readonly value: T; readonly faults?: undefined }
  | { readonly value?: undefined; readonly faults: FormFaults };

/** The rule that a form says, or what cannot be said. */
export function ruleOfForm(form: RuleForm): Formed<PolicyRule> {
  const faults: Record<string, string> = {};
  const ports = portsOf(form.destinationPorts);
  const hasPorts = form.destinationKind === "host" || form.destinationKind === "cidr";
  if (hasPorts && ports === undefined) {
    faults["destinationPorts"] = "write ports from 1 to 65535, such as 443 8443";
  }
  const expires = expiresOf(form);
  if (expires === undefined) faults["expires"] = "write a day and a time";
  if (Object.keys(faults).length > 0) return { faults };
  const { id, comment, enabled, effect, allowLearned, direction, protocol } = form;
  const http = httpOf(form);
  const value: PolicyRule = {
    id: id.trim(),
    ...(comment.trim() === "" ? {} : { comment: comment.trim() }),
    enabled,
    ...(direction === "" || direction === undefined ? {} : { direction }),
    source: sourceOf(form),
    destination: destinationOf(form, ports ?? []),
    ...(protocol === "" || protocol === undefined ? {} : { protocol }),
    ...(http === undefined ? {} : { http }),
    effect,
    // It means something only where a rule does not allow anyway.
    allowLearned: effect !== "allow" && allowLearned,
    ...(expires === "" ? {} : { expires: expires! }),
  };
  return { value };
}

/** Words of a field that holds several. */
export function wordsOf(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter((word) => word !== ""))];
}

function portsOf(text: string): number[] | undefined {
  const words = wordsOf(text);
  if (!words.every((word) => /^\d{1,5}$/.test(word))) return undefined;
  return words.map(Number);
}

function expiresOf({ expires, expiresWas }: RuleForm): string | undefined {
  if (expires === "") return "";
  if (expiresWas !== "" && expires === localText(Date.parse(expiresWas))) return expiresWas;
  const ms = new Date(expires).getTime();
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString().replace(".000Z", "Z");
}

/** Fields that were filled in, by the names that the policy has for them. */
function filled(fields: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, text]) => [name, text.trim()]).filter(([, text]) => text !== ""),
  );
}

function sourceOf(form: RuleForm): PolicyRule["source"] {
  if (form.sourceKind === "network") return { network: form.sourceNetwork.trim() };
  if (form.sourceKind === "cidr") return { cidr: form.sourceCidr.trim() };
  if (form.sourceKind === "any") return {};
  return filled({ namespace: form.sourceNamespace, image: form.sourceImage });
}

function destinationOf(form: RuleForm, ports: number[]): PolicyRule["destination"] {
  const at = ports.length === 0 ? {} : { ports };
  if (form.destinationKind === "host") return { host: form.destinationHost.trim(), ...at };
  if (form.destinationKind === "cidr") return { cidr: form.destinationCidr.trim(), ...at };
  if (form.destinationKind === "any") return {};
  return filled({
    ...{ namespace: form.destinationNamespace, image: form.destinationImage },
    service: form.destinationService,
  });
}

function httpOf(form: RuleForm): PolicyRule["http"] {
  const http = {
    hosts: wordsOf(form.hosts),
    methods: wordsOf(form.methods),
    // A comma may stand in a path.
    paths: [...new Set(form.paths.split(/\s+/).filter((path) => path !== ""))],
    contentTypes: [...wordsOf(form.contentTypes), ...(form.isUntyped ? [""] : [])],
  };
  const given = Object.entries(http).filter(([, list]) => list.length > 0);
  return given.length === 0 ? undefined : Object.fromEntries(given);
}
