/**
 * Asks the gateway what a whole policy would do, and puts it in force: from a draft, from a text, from an older version.
 *
 * @module
 */
import { ApiError, ask } from "../core/api.ts";
import type { Applied, PolicyDocument, PolicyVersion, SimulationReport } from "../core/types.ts";
import { apply, type Forecast } from "../ui/change_dialog.tsx";
import type { Spec } from "./differences.ts";
import type { PolicyFault } from "./faults.ts";

/** What shall come into force. */
export type Content =
  | { readonly document: PolicyDocument }
  | { readonly yaml: string; readonly hasModel: boolean }
  | { readonly rollbackTo: PolicyVersion };

export interface Outlook {
  /** In force now. */
  readonly current: PolicyVersion;
  /** Nothing when another version came in between. */
  readonly forecast?: Forecast;
  /** The text of what is in force, to put it back; for texts alone. */
  readonly before?: string;
}

/** @param base The version that it was made from. @throws {ApiError} 422 with each place that cannot be used. */
export async function look(content: Content, base: number): Promise<Outlook> {
  const current = await ask<PolicyVersion>("GET", "/policy");
  if (current.version !== base) return { current };
  const body = bodyOf(content);
  const [difference, simulation, before] = await Promise.all([
    ask<{ version: number; lines: string[]; warnings: string[] }>("POST", "/policy/diff", body),
    ask<SimulationReport>("POST", "/policy/simulate", body),
    "yaml" in content ? readYaml(content.hasModel) : undefined,
  ]);
  if (difference.version !== base) return { current: await ask<PolicyVersion>("GET", "/policy") };
  const { lines, warnings } = difference;
  const forecast = { version: base, document: current.document, lines, warnings, simulation };
  return { current, forecast, ...(before === undefined ? {} : { before: before.text }) };
}

function bodyOf(content: Content): { json: PolicyDocument } | { yaml: string } {
  if ("yaml" in content) return { yaml: content.yaml };
  return { json: "document" in content ? content.document : content.rollbackTo.document };
}

/** @throws {ApiError} 412 when another version than `base` is in force by now. */
export async function putInForce(content: Content, base: number, comment: string): Promise<Applied> {
  if ("document" in content) return await apply(content.document, base, comment);
  if ("yaml" in content) return await applyYaml(content.yaml, base, comment);
  return await ask<Applied>("POST", `/policy/versions/${content.rollbackTo.version}/rollback`, {
    headers: { "If-Match": `"${base}"` },
  });
}

/** @throws {ApiError} 412 when another version than `base` is in force by now. */
export async function applyYaml(yaml: string, base: number, comment: string): Promise<Applied> {
  return await ask<Applied>("PUT", "/policy", {
    yaml,
    query: { comment: comment.slice(0, 500) },
    headers: { "If-Match": `"${base}"` },
  });
}

/** The policy in force as text. @throws {ApiError} */
export async function readYaml(hasModel: boolean): Promise<{ version: number; text: string }> {
  // The text says no version: what was in force before and after is that of the text.
  for (let tries = 0; tries < 3; tries++) {
    const { version } = await ask<PolicyVersion>("GET", "/policy");
    const text = await ask<string>("GET", "/policy.yaml", { query: { model: String(hasModel) } });
    const after = await ask<PolicyVersion>("GET", "/policy");
    if (after.version === version) return { version, text };
  }
  throw new ApiError("The policy changes all the time: try again in a moment", 0);
}

/**
 * Asks whether a part of a policy can be used, by itself: the draft stays here.
 *
 * @throws {ApiError} When it could not be asked.
 */
export async function check(spec: Partial<Spec>): Promise<readonly PolicyFault[]> {
  try {
    await ask("POST", "/policy/diff", { json: { apiVersion: "netwall/v1", kind: "Policy", spec } });
    return [];
  } catch (error) {
    if (error instanceof ApiError && error.status === 422 && error.errors.length > 0) return error.errors;
    throw error;
  }
}
