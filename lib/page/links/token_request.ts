/**
 * From the form of a token to what the API is asked for, and from what the API refuses back to the fields.
 *
 * The API alone judges what is written: here nothing is checked twice.
 *
 * @module
 */
import { ApiError } from "../core/api.ts";

/** The form as it is filled in. */
export interface TokenForm {
  readonly name: string;
  /** Names between commas or spaces. */
  readonly serve: string;
  readonly reach: string;
  readonly egress: boolean;
  readonly namespace: string;
  readonly image: string;
  readonly ttlSeconds: number;
}

/** The body of `POST /tokens`. What is left out is as the API has it. */
export interface TokenBody {
  readonly name: string;
  readonly serve: readonly string[];
  readonly reach: readonly string[];
  readonly egress: boolean;
  readonly namespace?: string;
  readonly image: string;
  readonly ttlSeconds: number;
}

/** The answer to it. */
export interface MintedToken {
  readonly id: string;
  readonly token: string;
  readonly expiresAtMs: number;
}

const DAY_SECONDS = 86_400;
/** How long a token may hold. */
export const TTL_CHOICES: readonly { readonly seconds: number; readonly label: string }[] = [
  { seconds: 3_600, label: "1 hour" },
  { seconds: DAY_SECONDS, label: "1 day" },
  { seconds: 7 * DAY_SECONDS, label: "7 days" },
  { seconds: 30 * DAY_SECONDS, label: "30 days" },
  { seconds: 90 * DAY_SECONDS, label: "90 days" },
  { seconds: 365 * DAY_SECONDS, label: "1 year" },
  { seconds: 3_650 * DAY_SECONDS, label: "10 years" },
];

export const EMPTY_FORM: TokenForm = {
  ...{ name: "", serve: "", reach: "", egress: false, namespace: "", image: "" },
  ttlSeconds: 90 * DAY_SECONDS,
};

/** Names between commas and spaces, each once. */
export function namesIn(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter((name) => name !== ""))];
}

export function bodyOf(form: TokenForm): TokenBody {
  const namespace = form.namespace.trim();
  return {
    name: form.name.trim(),
    serve: namesIn(form.serve),
    reach: namesIn(form.reach),
    egress: form.egress,
    ...(namespace === "" ? {} : { namespace }),
    image: form.image.trim(),
    ttlSeconds: form.ttlSeconds,
  };
}

/**
 * What is wrong, by field. What belongs to none is under the empty name.
 *
 * @param body What was asked for: a list has the names that are wrong, the error only says where they stand.
 */
export function fieldErrors(error: unknown, body: TokenBody): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  if (!(error instanceof ApiError) || error.errors.length === 0) {
    return found.set("", error instanceof Error ? error.message : String(error));
  }
  for (const { path, message } of error.errors) {
    const [field = "", index] = path.split(".");
    const isKnown = Object.hasOwn(EMPTY_FORM, field);
    const list: readonly string[] | undefined = field === "serve" || field === "reach"
      ? body[field]
      : undefined;
    const item = index === undefined ? undefined : list?.[Number(index)];
    const text = item === undefined ? message : `${item} ${message}`;
    const name = isKnown ? field : "";
    const before = found.get(name);
    const whole = isKnown ? text : `${path} ${text}`.trim();
    found.set(name, before === undefined ? whole : `${before}; ${whole}`);
  }
  return found;
}
