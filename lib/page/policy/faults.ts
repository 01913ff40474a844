/**
 * Where in a form the gateway's complaints belong.
 *
 * @module
 */
import type { FormFaults } from "./rule_form.ts";

/** What the gateway says about one place of a policy. */
export interface PolicyFault {
  readonly line?: number | undefined;
  readonly path: string;
  readonly message: string;
}

/** Places in a rule, and the fields that hold them; the first that fits. */
const RULE_FIELDS: readonly (readonly [RegExp, string])[] = [
  [/^source\.namespace/, "sourceNamespace"],
  [/^source\.image/, "sourceImage"],
  [/^source\.network/, "sourceNetwork"],
  [/^source\.cidr/, "sourceCidr"],
  [/^source/, "sourceKind"],
  [/^destination\.namespace/, "destinationNamespace"],
  [/^destination\.image/, "destinationImage"],
  [/^destination\.service/, "destinationService"],
  [/^destination\.host/, "destinationHost"],
  [/^destination\.cidr/, "destinationCidr"],
  [/^destination\.ports/, "destinationPorts"],
  [/^destination/, "destinationKind"],
  [/^http\.(hosts|methods|paths|contentTypes)/, "$1"],
  [/^(id|comment|effect|direction|protocol|expires)\b/, "$1"],
];

/** The faults of a form that was sent as the one rule of a policy. */
export function ruleFaults(faults: readonly PolicyFault[]): FormFaults {
  return byField(faults, (path) => {
    const inside = path.replace(/^spec\.rules\.\d+\.?/, "");
    for (const [pattern, field] of RULE_FIELDS) {
      const match = pattern.exec(inside);
      if (match !== null) return field.replace("$1", match[1] ?? "");
    }
    return "";
  });
}

/** The faults of a form whose fields have the names that the policy has for them. */
export function partFaults(faults: readonly PolicyFault[], fields: readonly string[]): FormFaults {
  return byField(faults, (path) => path.split(".").slice(2).find((part) => fields.includes(part)) ?? "");
}

/** @param fieldOf The field of a place; empty when there is none. */
export function byField(faults: readonly PolicyFault[], fieldOf: (path: string) => string): FormFaults {
  const found: Record<string, string> = {};
  for (const { path, message } of faults) {
    const field = fieldOf(path);
    // Whoever fills in a form knows which one it is.
    const text = message.replace(/ \((?:rule|rate limit) [a-z0-9-]{1,63}\)$/, "");
    const whole = field === "" && path !== "" ? `${path}: ${text}` : text;
    found[field] = found[field] === undefined ? whole : `${found[field]}; ${whole}`;
  }
  return found;
}
