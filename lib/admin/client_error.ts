/**
 * Why an admin API did not do what it was asked for, in words for the user.
 *
 * What comes back may be anything that listens there, so its texts are made printable before they are in a message.
 *
 * Source: RFC 9457 (problem documents).
 *
 * @module
 */
import { z } from "zod";
import { printable } from "../printable.ts";
import { VERSION } from "../version.ts";

/** Faults of a policy that a message names; the rest is counted. */
export const FAULTS_MAX = 100;
/** Characters of a text of the other side that a message repeats. */
const DETAIL_CHARS_MAX = 600;

/**
 * What was asked for was not done.
 *
 * `away`: nobody answers there, or stopped answering. `refused`: the token is not taken, or may not do this.
 * `invalid`: the policy or another value is wrong. `failed`: anything else. The message is for the user.
 */
export class AdminClientError extends Error {
  override name = "AdminClientError";
  constructor(
    message: string,
    readonly code: "away" | "refused" | "invalid" | "failed",
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

const problemSchema = z.object({
  title: z.string().optional(),
  detail: z.string().optional(),
  errors: z.array(z.object({
    line: z.number().optional().nullable(),
    path: z.union([z.string(), z.array(z.union([z.string(), z.number()]))]).optional(),
    message: z.string(),
  })).optional(),
});

/** An answer that is none of netwall's, or of another version of it. */
export function foreignAnswer(at: string, what: string): AdminClientError {
  return new AdminClientError(
    `Cannot read the answer of ${at}: ${what}, check that --admin names the admin address of a gateway of version ` +
      VERSION,
    "failed",
  );
}

/** An answer that is not a good one. */
export interface BadAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
  /** What was sent, such as the name of a file. */
  readonly bodyName: string | undefined;
  /** Whether it would have changed something. */
  readonly isChange: boolean;
}

/** What a bad answer says. @param at The address, as messages name it. */
export function refusal(at: string, answer: BadAnswer): AdminClientError {
  const { status, contentType, text, bodyName, isChange } = answer;
  if (status === 401) {
    return new AdminClientError(
      `The gateway at ${at} does not take this admin token: give another with --admin-token-file FILE or ` +
        "NETWALL_ADMIN_TOKEN, or name the gateway's directory with --data DIR",
      "refused",
    );
  }
  const problem = problemSchema.safeParse(/json/i.test(contentType) ? parseJson(text) : undefined);
  if (!problem.success) return foreignAnswer(at, `status ${status}`);
  const { detail, title, errors = [] } = problem.data;
  const said = cutText(detail ?? title ?? `status ${status}`);
  if (errors.length > 0 && status >= 400 && status < 500) {
    const lines = errors.slice(0, FAULTS_MAX).map((fault) => faultLine(bodyName, fault));
    if (errors.length > FAULTS_MAX) {
      lines.push(`${errors.length - FAULTS_MAX} more faults: correct these first`);
    }
    return new AdminClientError(
      [
        bodyName === undefined || !isChange
          ? `The gateway at ${at} said no: ${said}`
          : `Nothing was changed: ${said}`,
        ...lines,
      ].join("\n"),
      "invalid",
    );
  }
  const code = status === 403 ? "refused" : [400, 413, 415, 422].includes(status) ? "invalid" : "failed";
  return new AdminClientError(`The gateway at ${at} said no (${status}): ${said}`, code);
}

/**
 * What an error of the connection says.
 *
 * @param late Whether the time was over.
 * @returns The error itself when it is a bug, or explained already.
 */
export function unreachable(at: string, error: unknown, late: boolean): unknown {
  if (error instanceof AdminClientError) return error;
  if (late) {
    return new AdminClientError(
      `The gateway at ${at} does not answer in time: see its log, or name another with --admin`,
      "away",
      { cause: error },
    );
  }
  if (!(error instanceof Error)) return error;
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  // A wrong call is a bug and no state of the network.
  if (code === "TypeError" || code === "RangeError" || code.startsWith("ERR_INVALID")) return error;
  return new AdminClientError(
    `Cannot reach the gateway at ${at}: ${
      reasonOf(code, error.message)
    }, start netwall-gateway or name its admin ` +
      "address with --admin",
    "away",
    { cause: error },
  );
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOENT: "there is no such socket",
  EACCES: "this user may not open it",
  EPERM: "this user may not open it",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "the name cannot be looked up now",
  EHOSTUNREACH: "there is no way to it",
  ENETUNREACH: "there is no way to it",
  ETIMEDOUT: "it does not answer",
  ECONNRESET: "the connection was cut",
  EPIPE: "the connection was cut",
};

function reasonOf(code: string, message: string): string {
  const known = REASONS[code];
  return known ?? `${cutText(message, 160)} (${printable(code)})`;
}

function faultLine(
  bodyName: string | undefined,
  fault: {
    line?: number | null | undefined;
    path?: string | (string | number)[] | undefined;
    message: string;
  },
): string {
  const path = typeof fault.path === "string" ? fault.path : (fault.path ?? []).join(".");
  const place = [bodyName ?? "", typeof fault.line === "number" ? String(fault.line) : ""].filter((it) =>
    it !== ""
  )
    .join(":");
  return [place, path, fault.message].filter((it) => it !== "").map((it) => cutText(it)).join(": ");
}

function cutText(text: string, charsMax = DETAIL_CHARS_MAX): string {
  return printable(text.length > charsMax ? `${text.slice(0, charsMax)}…` : text);
}

/** @returns `undefined` for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
