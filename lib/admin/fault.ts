/**
 * What the admin API answers when it cannot do what was asked: RFC 9457 problem documents.
 *
 * The caller is an operator, so the detail says what is wrong and what to do. A fault that nobody foresaw says
 * nothing of itself: it is told to the log.
 *
 * Source: RFC 9457.
 *
 * @module
 */
import { STATUS_CODES } from "node:http";
import { z } from "zod";
import { TokenError } from "../auth/token.ts";
import { TokenListError } from "../auth/token_list.ts";
import { StoreError } from "../store/store.ts";
import { ControlError } from "./control.ts";

/** How many faults of one input are listed. */
export const FAULTS_MAX = 20;

/** One place of an input that cannot be used. */
export interface InputFault {
  /** Of a text, from 1. */
  readonly line?: number | undefined;
  /** Such as `spec.rules.3.effect`; empty for the whole. */
  readonly path: string;
  readonly message: string;
}

export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string().optional(),
  errors: z.array(z.object({ line: z.int().optional(), path: z.string(), message: z.string() })).optional()
    .describe(`The places of the input that cannot be used; at most ${FAULTS_MAX}`),
});

/** Thrown, or returned, by whatever answers a request; its status is the answer's. */
export class ApiFault extends Error {
  override name = "ApiFault";
  constructor(
    readonly status: number,
    detail: string,
    readonly errors?: readonly InputFault[],
    readonly fields: Readonly<Record<string, string>> = {},
  ) {
    super(detail);
  }
}

/** The fault of an input that its schema refuses. */
export function inputFault(status: number, detail: string, error: z.ZodError): ApiFault {
  const errors = error.issues.flatMap(inputFaults).slice(0, FAULTS_MAX);
  return new ApiFault(status, detail, errors);
}

/** In words: the ones of the schema name patterns and the terms of a library where nobody wrote others. */
function inputFaults(issue: z.core.$ZodIssue): InputFault[] {
  const at = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      path: [...at, key].join("."),
      message: "is not known here: remove it, or see /api/v1/openapi.json",
    }));
  }
  const message = issue.code === "invalid_value"
    ? `write ${issue.values.map(String).join(", ").replace(/, ([^,]*)$/, " or $1")}`
    : issue.code === "invalid_type" && issue.message.endsWith("received undefined")
    ? "is missing"
    : issue.code === "invalid_type" && issue.message.startsWith("Invalid ")
    ? `write ${/^[aeio]/.test(issue.expected) ? "an" : "a"} ${issue.expected}`
    : issue.code === "too_small" || issue.code === "too_big"
    ? boundText(issue)
    : issue.code === "invalid_format" && issue.message.startsWith("Invalid ")
    ? "is not in the right form"
    : issue.message;
  return [{ path: at.join("."), message }];
}

function boundText(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  const unit = issue.origin === "string" ? " characters" : issue.origin === "array" ? " entries" : "";
  return issue.code === "too_small" ? `at least ${issue.minimum}${unit}` : `at most ${issue.maximum}${unit}`;
}

const CONTROL_STATUS: Readonly<Record<ControlError["code"], number>> = {
  notFound: 404,
  conflict: 409,
  invalid: 422,
  unavailable: 503,
};

/** The answer for whatever was thrown; `undefined` when nobody foresaw it. */
export function faultOf(error: unknown): ApiFault | undefined {
  if (error instanceof ApiFault) return error;
  if (error instanceof ControlError) {
    const status = CONTROL_STATUS[error.code];
    return new ApiFault(status, error.message, undefined, status === 503 ? { "Retry-After": "5" } : {});
  }
  if (error instanceof StoreError) {
    return new ApiFault(503, error.message, undefined, { "Retry-After": "5" });
  }
  if (error instanceof TokenError) return new ApiFault(422, error.message);
  if (error instanceof TokenListError) return new ApiFault(503, error.message);
  return undefined;
}

/** The answer that tells a fault. */
export function faultResponse(fault: ApiFault): Response {
  const { status, message: detail, errors, fields } = fault;
  const title = STATUS_CODES[status] ?? "Error";
  const body = { type: "about:blank", title, status, ...(detail === "" ? {} : { detail }) };
  return new Response(`${JSON.stringify(errors === undefined ? body : { ...body, errors })}\n`, {
    status,
    headers: { "Content-Type": "application/problem+json", ...fields },
  });
}
