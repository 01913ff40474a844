/**
 * Requests whose texts drive a terminal, and an operator who looks at what the gateway gives with whatever is there.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { apiRig } from "../admin/api_rig.ts";
import { eventOf } from "../admin/fake_firewall.ts";

/** Escapes of 7 and of 8 bits, a title, a line of its own, marks that turn the direction, a byte order mark. */
const HOSTILE = [
  "\x1b[2J",
  "\x9b2J",
  "\x9d0;title\x9c",
  "\r\nforged,line",
  "\x85next",
  "\u2028next",
  "\u202eexe.txt",
  "\u2066x\u2069",
  "\ufeff=1",
  "\x7f\b\b",
];
// deno-lint-ignore no-control-regex
const UNSAFE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]/;

test("no answer holds a character that acts on a terminal, and JSON reads as it was", async () => {
  const rig = await apiRig();
  const events = HOSTILE.map((text, index) =>
    eventOf(index + 1, {
      message: text,
      source: { kind: "host", name: text, claimedHostname: text },
      http: { method: "GET", host: text, path: text, userAgent: text, requestId: "r" },
      deviation: { kind: "route", observed: text, expected: text },
    })
  );
  rig.firewall.store.putEvents(events);
  let compared = 0;
  for (const path of ["events", "events.ndjson", "events.csv", `events/${events[0]!.id}`]) {
    const text = await (await rig.ask(`/api/v1/${path}`)).text();
    expect([path, UNSAFE.exec(text)?.[0]]).toEqual([path, undefined]);
    // A line of a file is one event, whatever is in it.
    const lines = text.trimEnd().split(/\r?\n/).length;
    expect([path, lines]).toEqual([path, { "events.ndjson": 10, "events.csv": 11 }[path] ?? 1]);
    compared += 1;
  }
  expect(compared).toBe(4);
  const { items } = await (await rig.ask("/api/v1/events")).json();
  expect(items).toEqual(events.toReversed());

  const reader = (await rig.ask("/api/v1/stream?after=0")).body!.getReader();
  let text = "";
  while (!text.includes("event: ready")) text += new TextDecoder().decode((await reader.read()).value);
  expect(UNSAFE.exec(text)?.[0]).toBeUndefined();
  expect(text.split("\n").filter((line) => line.startsWith('data: {"id"'))).toHaveLength(HOSTILE.length);
  await reader.cancel();
  rig.close();
});
