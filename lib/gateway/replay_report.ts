/**
 * What is told of a request that was sent once more: both answers, and how they differ.
 *
 * @module
 */
import { ControlError } from "../admin/control.ts";
import type { ReplayReport, ShownField } from "../admin/traffic_control.ts";
import { type ComparedAnswer, differences } from "../traffic/differences.ts";
import type { KeptRequest } from "../traffic/kept_request.ts";
import type { FieldMasks } from "../traffic/mask_fields.ts";
import { MASK } from "../traffic/secret_names.ts";
import { type KeptBody, type ShownBody, shownBody } from "../traffic/shown_body.ts";
import type { Turn } from "../traffic/steps.ts";
import type { ReplayAnswer } from "./replay_request.ts";

/** A request as it can be sent again. */
export interface SendableRequest {
  readonly method: string;
  readonly target: string;
  readonly fields: string[];
  /** Names of fields that are left out, as their values were not recorded. */
  readonly omitted: string[];
  /** Absent when it had none, or an empty one. */
  readonly body: Uint8Array | undefined;
}

/** What can be sent of a request. @throws {ControlError} `conflict`, and what to do. */
export function sendableOf(kept: KeptRequest): SendableRequest {
  const { facts, bodies, isRaw } = kept;
  const { method, target, requestFields, isCut } = kept.heads();
  const first = "record the service, and let it come once more";
  const reason = facts.service === ""
    ? "it led to no service"
    : facts.upgrade
    ? "it is an upgrade of its connection"
    : isCut
    ? "its head was too long to be kept"
    : facts.hasBody && bodies === undefined
    ? `its body was not recorded: ${first}`
    : facts.hasBody && (bodies!.request.isCut || !bodies!.isRequestWhole)
    ? "its body was not recorded whole: record with a larger bodyBytesMax"
    : !isRaw && target.includes(MASK)
    ? `its target has a secret that was not recorded: ${first}`
    : undefined;
  if (reason !== undefined) throw new ControlError(`Cannot send it again: ${reason}`, "conflict");
  const omitted: string[] = [];
  const fields: string[] = [];
  for (let i = 0; i < requestFields.length; i += 2) {
    const [name, value] = [requestFields[i]!, requestFields[i + 1]!];
    if (!isRaw && value.includes(MASK)) omitted.push(name);
    // The body follows in any case.
    else if (name.toLowerCase() !== "expect") fields.push(name, value);
  }
  // A copy: it may be pushed out of the log while the answer is on its way.
  const body = facts.hasBody ? bodies!.request.bytes.slice() : undefined;
  return { method, target, fields, omitted, body: body !== undefined && body.length > 0 ? body : undefined };
}

/**
 * Compares the answer that was kept with the one that came now.
 *
 * @param response The body of the first, if it was recorded.
 */
export async function reportOf(
  kept: KeptRequest,
  response: KeptBody | undefined,
  answer: ReplayAnswer,
  masks: FieldMasks,
  turn: Turn,
): Promise<Pick<ReplayReport, "original" | "answer" | "differences">> {
  const { facts, isRaw } = kept;
  const { responseFields } = kept.heads();
  const again: KeptBody = { bytes: answer.body, totalBytes: answer.bodyBytes, isCut: answer.isCut };
  const [before, after] = [
    await bodyOf(response, responseFields, turn),
    await bodyOf(again, answer.fields, turn),
  ];
  return await turn(() => ({
    original: {
      ...{ status: facts.status, ms: facts.ms, fields: shownFields(responseFields, masks) },
      ...(before === undefined ? {} : { body: before }),
    },
    answer: {
      ...{ status: answer.status, ms: answer.ms, fields: shownFields(answer.fields, masks) },
      ...(after === undefined ? {} : { body: after }),
    },
    differences: differences(
      compared(facts.status, responseFields, facts.responseBytes, response, before),
      compared(answer.status, answer.fields, answer.bodyBytes, again, after),
      masks,
      isRaw,
    ),
  }));
}

const EMPTY_BODY: ShownBody = { bytes: 0, format: "text", content: "", isCut: false };

function compared(
  status: number,
  fields: readonly string[],
  bodyBytes: number,
  kept: KeptBody | undefined,
  shown: ShownBody | undefined,
): ComparedAnswer {
  // Of two halves nobody can say where they differ.
  const body = kept === undefined || kept.isCut ? undefined : { raw: kept.bytes, shown: shown ?? EMPTY_BODY };
  return { status, fields, bodyBytes, body };
}

/** Fields for people. What is masked already stays so. */
export function shownFields(fields: readonly string[], masks: FieldMasks): ShownField[] {
  return Array.from({ length: fields.length / 2 }, (_, i) => {
    const name = fields[2 * i]!;
    return { name, value: masks.mask(name, fields[2 * i + 1]!) };
  });
}

/** A body for people; `undefined` when it is empty, or not known. @param fields Those of its head, raw. */
export async function bodyOf(
  body: KeptBody | undefined,
  fields: readonly string[],
  turn: Turn,
): Promise<ShownBody | undefined> {
  return body === undefined || body.totalBytes === 0 ? undefined : await shownBody(body, fields, turn);
}
