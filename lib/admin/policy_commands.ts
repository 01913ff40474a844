/**
 * The commands that show and change the policy of a running gateway. Each returns what is to be printed.
 *
 * A file is read and checked before the gateway is asked, and is sent as JSON: reading YAML takes many times as long,
 * and a gateway has visitors to serve.
 *
 * @module
 */
import { z } from "zod";
import { type Direction, DIRECTIONS } from "../policy/flow.ts";
import type { Mode } from "../policy/mode.ts";
import { printable } from "../printable.ts";
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
});
const diffSchema = z.object({ version: z.int().optional(), lines: z.array(z.string()) });
const versionsSchema = z.object({
  items: z.array(z.object({ version: z.int(), atMs: z.number(), by: z.string(), comment: z.string() })),
});
const modeSchema = z.object({ mode: z.string(), origin: z.string() });
const groupsSchema = z.object({
  items: z.array(z.object({
    id: z.string(),
    modes: z.object({ "north-south": modeSchema, "east-west": modeSchema, egress: modeSchema }),
    agents: z.array(z.string()),
    learning: z.array(z.object({
      direction: z.enum(["north-south", "east-west", "egress"]),
      state: z.string(),
      reasons: z.array(z.string()),
      samples: z.number(),
      edges: z.number(),
      routes: z.number(),
    })),
  })),
});

/** The policy in force with the learned model, as YAML. */
export async function exportPolicy(client: AdminClient): Promise<string> {
  return await client.text({ method: "GET", path: "policy.yaml" });
}

/** What applying a file would change, a line for each; says so when that is nothing. */
export async function diffPolicy(client: AdminClient, file: PolicyFile): Promise<string> {
  const { version, lines } = await client.json(fileRequest("POST", "policy/diff", file), diffSchema);
  if (lines.every((line) => line === "")) {
    return `Nothing to change: ${
      version === undefined ? "this policy" : `version ${version}`
    } is in force and the same\n`;
  }
  return lines.map((line) => `${printable(line)}\n`).join("");
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
): Promise<string> {
  const { comment, ifVersion } = options;
  const applied = await client.json({
    ...fileRequest("PUT", "policy", file),
    query: { comment },
    headers: ifVersion === undefined ? {} : { "If-Match": `"${ifVersion}"` },
  }, appliedSchema);
  return appliedText("Applied", applied);
}

/** Shows what a policy would say beside what is in force, and blocks nothing. */
export async function stagePolicy(client: AdminClient, file: PolicyFile): Promise<string> {
  await client.text(fileRequest("PUT", "policy/staged", file));
  return "Staged: events show what it would say as their pending verdict, nothing is blocked by it\n";
}

/** Takes the staged policy away. */
export async function unstagePolicy(client: AdminClient): Promise<string> {
  await client.text({ method: "DELETE", path: "policy/staged" });
  return "No policy is staged any more\n";
}

/** What a policy would have done with the stored flows. */
export async function simulatePolicy(
  client: AdminClient,
  file: PolicyFile,
  sinceMs: number,
): Promise<string> {
  const query = { since: new Date(sinceMs).toISOString() };
  const report = await client.json(
    { ...fileRequest("POST", "policy/simulate", file), query },
    simulationSchema,
  );
  const { judged, droppedNow, droppedThen, changes } = report;
  const since = new Date(report.sinceMs);
  const from = Number.isNaN(since.getTime()) ? "" : ` since ${since.toISOString().slice(0, 19)}Z`;
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
export async function listVersions(client: AdminClient, limit: number): Promise<string> {
  const request = { method: "GET", path: "policy/versions", query: { limit } } as const;
  const { items } = await client.json(request, versionsSchema);
  const rows = items.map(({ version, atMs, by, comment }) => [
    String(version),
    timeText(atMs),
    cut(by),
    cut(comment) || "-",
  ]);
  return table([["VERSION", "TIME", "BY", "COMMENT"], ...rows]);
}

/** Applies an older version again, as a new one. */
export async function rollbackPolicy(client: AdminClient, version: number): Promise<string> {
  const path = `policy/versions/${version}/rollback`;
  return appliedText("Rolled back", await client.json({ method: "POST", path }, appliedSchema));
}

/** Sets the mode of a group. */
export async function setGroupMode(
  client: AdminClient,
  group: string,
  mode: Mode,
  direction: Direction | undefined,
): Promise<string> {
  const body = JSON.stringify({ group, mode, ...(direction === undefined ? {} : { direction }) });
  return appliedText("Set", await client.json({ method: "PUT", path: "groups/mode", body }, appliedSchema));
}

/** Every group: its modes, and how far it has come with learning. */
export async function listGroups(client: AdminClient): Promise<string> {
  const { items } = await client.json({ method: "GET", path: "groups" }, groupsSchema);
  if (items.length === 0) return "No group is known yet: groups come with their agents\n";
  const rows = items.flatMap(({ id, modes, learning }) =>
    DIRECTIONS.map((direction, index) => {
      const progress = learning.find((it) => it.direction === direction);
      const { mode, origin } = modes[direction];
      return [
        index === 0 ? id : "",
        direction,
        origin === "manual" ? mode : `${mode} (${origin})`,
        progress?.state ?? "-",
        progress === undefined ? "-" : String(progress.samples),
        progress === undefined ? "-" : `${progress.edges}/${progress.routes}`,
        cut(progress?.reasons.join("; ") ?? ""),
      ];
    })
  );
  return table([["GROUP", "DIRECTION", "MODE", "MODEL", "SAMPLES", "EDGES/ROUTES", "WHY"], ...rows]);
}

function fileRequest(method: "PUT" | "POST", path: string, { name, text }: PolicyFile): AdminRequest {
  return { method, path, body: text, contentType: JSON_TYPE, bodyName: name };
}

function appliedText(did: string, { version, cut }: z.output<typeof appliedSchema>): string {
  const streams = cut === 0
    ? ""
    : `, ${cut} open ${cut === 1 ? "exchange or connection was" : "exchanges and connections were"} cut`;
  return `${did}: version ${version} is in force${streams}\n`;
}

function requests(count: number): string {
  return count === 1 ? "1 request or connection" : `${count} requests and connections`;
}

function timeText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : `${date.toISOString().slice(0, 19)}Z`;
}

function cut(text: string): string {
  return text.length > CELL_CHARS_MAX ? `${text.slice(0, CELL_CHARS_MAX)}…` : text;
}
