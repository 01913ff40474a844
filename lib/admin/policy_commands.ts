/**
 * The commands that show and change the policy of a running gateway. Each returns what is to be printed.
 *
 * A file is read and checked before the gateway is asked, and is sent as JSON: reading YAML takes many times as long,
 * and a gateway has visitors to serve.
 *
 * @module
 */
import { z } from "zod";
import type { Direction } from "../policy/flow.ts";
import type { Mode } from "../policy/mode.ts";
import { printable } from "../printable.ts";
import { type Answer, jsonText, plainAnswer, timeText, warningsSchema } from "./answer.ts";
import type { AdminClient, AdminRequest } from "./client.ts";
import type { PolicyFile } from "./policy_file.ts";
import { simulationSchema } from "./schemas.ts";
import { table } from "./table.ts";

const JSON_TYPE = "application/json";
/** Reasons and comments in a table are cut to this. */
const CELL_CHARS_MAX = 120;

const appliedSchema = z.object({
  version: z.union([z.int(), z.object({ version: z.int() }).transform(({ version }) => version)]),
  cut: z.int().default(0),
  ...warningsSchema.shape,
});
const diffSchema = z.object({
  version: z.int().optional(),
  lines: z.array(z.string()),
  ...warningsSchema.shape,
});
const versionsSchema = z.object({
  items: z.array(z.object({ version: z.int(), atMs: z.number(), by: z.string(), comment: z.string() })),
});
const auditSchema = z.object({
  items: z.array(
    z.object({ atMs: z.number(), by: z.string(), role: z.string(), action: z.string(), detail: z.string() }),
  ),
});

/** The policy in force, with the learned model or without it, as YAML. */
export async function exportPolicy(client: AdminClient, withModel: boolean): Promise<string> {
  const query = withModel ? {} : { model: "false" };
  return await client.text({ method: "GET", path: "policy.yaml", query });
}

/** What applying a file would change, a line for each; says so when that is nothing. */
export async function diffPolicy(client: AdminClient, file: PolicyFile, json: boolean): Promise<Answer> {
  const { value, raw } = await client.answer(fileRequest("POST", "policy/diff", file), diffSchema);
  const { version, lines, warnings } = value;
  if (json) return { text: jsonText(raw), warnings };
  if (lines.every((line) => line === "")) {
    const what = version === undefined ? "this policy" : `version ${version}`;
    return { text: `Nothing to change: ${what} is in force and the same\n`, warnings };
  }
  return { text: lines.map((line) => `${printable(line)}\n`).join(""), warnings };
}

export interface ApplyOptions {
  readonly comment: string | undefined;
  /** The version that must be in force. */
  readonly ifVersion: number | undefined;
}

/** Puts a policy in force. */
export async function applyPolicy(
  client: AdminClient,
  file: PolicyFile,
  options: ApplyOptions,
): Promise<Answer> {
  const { comment, ifVersion } = options;
  const applied = await client.json({
    ...fileRequest("PUT", "policy", file),
    query: { comment },
    headers: ifVersion === undefined ? {} : { "If-Match": `"${ifVersion}"` },
  }, appliedSchema);
  return appliedAnswer("Applied", applied);
}

/** Shows what a policy would say beside what is in force, and blocks nothing. */
export async function stagePolicy(client: AdminClient, file: PolicyFile): Promise<Answer> {
  await client.text(fileRequest("PUT", "policy/staged", file));
  return plainAnswer("Staged: events say what it would do, and nothing is blocked by it\n");
}

/** Takes the staged policy away. */
export async function unstagePolicy(client: AdminClient): Promise<Answer> {
  await client.text({ method: "DELETE", path: "policy/staged" });
  return plainAnswer("No policy is staged any more\n");
}

/** What a policy would have done with the stored flows. */
export async function simulatePolicy(
  client: AdminClient,
  file: PolicyFile,
  sinceMs: number,
  json: boolean,
): Promise<Answer> {
  const query = { since: new Date(sinceMs).toISOString() };
  const { value, raw } = await client.answer(
    { ...fileRequest("POST", "policy/simulate", file), query },
    simulationSchema,
  );
  const { warnings } = warningsSchema.catch({ warnings: [] }).parse(raw);
  return { text: json ? jsonText(raw) : simulationText(value), warnings };
}

function simulationText(report: z.output<typeof simulationSchema>): string {
  const { judged, droppedNow, droppedThen, changes } = report;
  const from = ` since ${timeText(report.sinceMs)}`;
  if (judged === 0) return `No flow is stored${from}: look further back with --since, or wait for traffic\n`;
  const head = `Judged ${requests(judged)}${from}: ${droppedNow} are dropped now, ${droppedThen} would be\n`;
  if (changes.length === 0) return `${head}Nothing would be judged otherwise\n`;
  return head + changes.map((change) => {
    const { direction, source, destination, count, fromRule, toRule } = change;
    const line = `${change.from} → ${change.to}  ${count}×  ${direction}  ${source} → ${destination}` +
      `  (${fromRule} → ${toRule})`;
    return [line, ...change.examples.map((example) => `    such as ${example}`)]
      .map((it) => `${printable(it)}\n`).join("");
  }).join("");
}

/** The versions of the policy, the newest first. */
export async function listVersions(client: AdminClient, limit: number, json: boolean): Promise<Answer> {
  const request = { method: "GET", path: "policy/versions", query: { limit } } as const;
  const { value, raw } = await client.answer(request, versionsSchema);
  if (json) return plainAnswer(jsonText(raw));
  const rows = value.items.map(({ version, atMs, by, comment }) => [
    String(version),
    timeText(atMs),
    cut(by),
    cut(comment) || "-",
  ]);
  return plainAnswer(table([["VERSION", "TIME", "BY", "COMMENT"], ...rows]));
}

/** Who changed what, the newest first. */
export async function listAudit(client: AdminClient, limit: number, json: boolean): Promise<Answer> {
  const { value, raw } = await client.answer({ method: "GET", path: "audit", query: { limit } }, auditSchema);
  if (json) return plainAnswer(jsonText(raw));
  const rows = value.items.map(({ atMs, by, role, action, detail }) => [
    timeText(atMs),
    cut(by),
    cut(role),
    cut(action),
    cut(detail) || "-",
  ]);
  return plainAnswer(table([["TIME", "BY", "ROLE", "ACTION", "DETAIL"], ...rows]));
}

/** Applies an older version again, as a new one. */
export async function rollbackPolicy(client: AdminClient, version: number): Promise<Answer> {
  const path = `policy/versions/${version}/rollback`;
  return appliedAnswer("Rolled back", await client.json({ method: "POST", path }, appliedSchema));
}

/** Sets the mode of a group; `default` takes away what was set. */
export async function setGroupMode(
  client: AdminClient,
  group: string,
  mode: Mode | "default",
  direction: Direction | undefined,
): Promise<Answer> {
  const body = JSON.stringify({ group, mode, ...(direction === undefined ? {} : { direction }) });
  return appliedAnswer("Set", await client.json({ method: "PUT", path: "groups/mode", body }, appliedSchema));
}

/** Makes a group learn again from nothing. */
export async function relearnGroup(client: AdminClient, group: string): Promise<Answer> {
  const request = { method: "POST", path: "groups/relearn", body: JSON.stringify({ group }) } as const;
  return appliedAnswer(`${printable(group)} learns again`, await client.json(request, appliedSchema));
}

function fileRequest(method: "PUT" | "POST", path: string, { name, text }: PolicyFile): AdminRequest {
  return { method, path, body: text, contentType: JSON_TYPE, bodyName: name };
}

function appliedAnswer(did: string, { version, cut, warnings }: z.output<typeof appliedSchema>): Answer {
  const streams = cut === 0
    ? ""
    : `, ${cut} open ${cut === 1 ? "exchange or connection was" : "exchanges and connections were"} cut`;
  return { text: `${did}: version ${version} is in force${streams}\n`, warnings };
}

function requests(count: number): string {
  return count === 1 ? "1 request or connection" : `${count} requests and connections`;
}

function cut(text: string): string {
  return text.length > CELL_CHARS_MAX ? `${text.slice(0, CELL_CHARS_MAX)}…` : text;
}
