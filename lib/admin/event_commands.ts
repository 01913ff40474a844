/**
 * The commands about one event: all of what is known of it, and the rule that allows it.
 *
 * @module
 */
import { z } from "zod";
import { eventSchema } from "../events/event.ts";
import { writeYaml } from "../policy/yaml_writer.ts";
import { printable } from "../printable.ts";
import { type Answer, jsonText, plainAnswer } from "./answer.ts";
import type { AdminClient } from "./client.ts";
import { shortEventId, wholeEventId } from "./event_id.ts";

/** All that is known of an event, with its times as people write them. */
export async function showEvent(client: AdminClient, id: string, json: boolean): Promise<Answer> {
  const { value, raw } = await client.answer({ method: "GET", path: pathOf(id) }, eventSchema);
  if (json) return plainAnswer(jsonText(raw));
  const { id: _whole, seq: _seq, time, firstTime, ...rest } = value;
  const yaml = writeYaml({ id: shortEventId(value.id), ...times({ time, firstTime }), ...rest });
  return plainAnswer(yaml.split("\n").map(printable).join("\n"));
}

function times(ms: Readonly<Record<string, number>>): Record<string, string> {
  const pairs = Object.entries(ms).map(([name, value]) => {
    const date = new Date(value);
    return [name, Number.isNaN(date.getTime()) ? String(value) : date.toISOString()];
  });
  return Object.fromEntries(pairs);
}

/** Makes the rule that allows what an event was about. */
export async function allowEvent(client: AdminClient, id: string): Promise<Answer> {
  const schema = z.object({ rule: z.object({ id: z.string() }) });
  const { rule } = await client.json({ method: "POST", path: `${pathOf(id)}/allow` }, schema);
  return plainAnswer(
    `Allowed: the rule ${printable(rule.id)} stands in front of all others\n` +
      "See it with: netwall-gateway policy export --no-model\n",
  );
}

function pathOf(id: string): string {
  return `events/${encodeURIComponent(wholeEventId(id))}`;
}
