/**
 * The commands that show what is there now: groups of containers, and sources that are banned.
 *
 * @module
 */
import { z } from "zod";
import { DIRECTIONS } from "../policy/flow.ts";
import { printable } from "../printable.ts";
import { type Answer, jsonText, plainAnswer, timeText } from "./answer.ts";
import type { AdminClient } from "./client.ts";
import { banSchema } from "./schemas.ts";
import { table } from "./table.ts";

/** How wide the table of groups is, unless names alone are wider. */
const COLUMNS_MAX = 120;

const modeSchema = z.object({ mode: z.string(), origin: z.string() });
const groupSchema = z.object({
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
});
const groupsSchema = z.object({ items: z.array(groupSchema) });

export interface GroupsOptions {
  /** With directions in which a group has no model and no mode of its own. */
  readonly all: boolean;
  readonly json: boolean;
}

/** Every group: its agents, its modes, and how far it has come with learning. */
export async function listGroups(client: AdminClient, options: GroupsOptions): Promise<Answer> {
  const { value, raw } = await client.answer({ method: "GET", path: "groups" }, groupsSchema);
  if (options.json) return plainAnswer(jsonText(raw));
  if (value.items.length === 0) return plainAnswer("No group is known yet: groups come with their agents\n");
  const head = ["GROUP", "AGENTS", "DIRECTION", "MODE", "MODEL", "SEEN", "EDGES", "ROUTES", "WHY"];
  const rows = value.items.flatMap((group) => groupRows(group, options.all));
  return plainAnswer(table([head, ...rows], COLUMNS_MAX));
}

function groupRows({ id, modes, agents, learning }: z.output<typeof groupSchema>, all: boolean): string[][] {
  const rows = DIRECTIONS.flatMap((direction) => {
    const progress = learning.find((it) => it.direction === direction);
    const { mode, origin } = modes[direction];
    if (!all && progress === undefined && origin === "default") return [];
    const learned = progress === undefined ? ["-", "-", "-", "-"] : [
      progress.state,
      String(progress.samples),
      String(progress.edges),
      String(progress.routes),
    ];
    const shownMode = origin === "manual" ? mode : `${mode} (${origin})`;
    return [[direction, shownMode, ...learned, progress?.reasons.join("; ") ?? ""]];
  });
  // One that has nothing of its own is there all the same.
  if (rows.length === 0) rows.push(["-", `${modes["north-south"].mode} (default)`, "-", "-", "-", "-", ""]);
  return rows.map((row, index) => index === 0 ? [id, String(agents.length), ...row] : ["", "", ...row]);
}

/** The sources that are refused for a while. */
export async function listBans(client: AdminClient, json: boolean): Promise<Answer> {
  const schema = z.object({ items: z.array(banSchema) });
  const { value, raw } = await client.answer({ method: "GET", path: "bans" }, schema);
  if (json) return plainAnswer(jsonText(raw));
  if (value.items.length === 0) return plainAnswer("Nobody is banned now\n");
  const rows = value.items.map(({ key, source, service, untilMs, reason }) => [
    key,
    source,
    service,
    timeText(untilMs),
    reason,
  ]);
  return plainAnswer(table([["KEY", "SOURCE", "SERVICE", "UNTIL", "WHY"], ...rows]));
}

/** Lets a banned source in again. */
export async function liftBan(client: AdminClient, key: string): Promise<Answer> {
  await client.text({ method: "DELETE", path: `bans/${encodeURIComponent(key)}` });
  return plainAnswer(`Lifted: ${printable(key)} is let in again\n`);
}
