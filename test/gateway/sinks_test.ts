/**
 * What is found out about the sinks of events at the start, and not at the first event.
 *
 * @module
 */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { eventsSection } from "../../lib/config/firewall_config.ts";
import { FirewallFault, openSinks } from "../../lib/gateway/sinks.ts";
import { createLogger } from "../../lib/log.ts";

const dir = mkdtempSync(join(tmpdir(), "netwall-sinks-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const log = createLogger({ level: "error", format: "json", isTerminal: false, write: () => {} });

function faultOf(file: string): string {
  try {
    openSinks(eventsSection.parse({ file }), log);
  } catch (error) {
    if (error instanceof FirewallFault) return error.message;
    throw error;
  }
  return "";
}

test("a file for events that could not be written is told at the start, with what to do", () => {
  const plain = join(dir, "plain");
  writeFileSync(plain, "");
  const cases: [string, RegExp][] = [
    [
      join(dir, "no", "events.ndjson"),
      /^Cannot write events to .*: the folder .*\/no: there is no such file or/,
    ],
    [join(plain, "events.ndjson"), /: the folder .*\/plain: .*name another with --events-file$/],
    [dir, /^Cannot write events to .*: it is no regular file, name one with --events-file$/],
    ["/dev/null", /: it is no regular file/],
    [join(dir, "no\u001b[2J", "e"), /no\\u001b\[2J/],
  ];
  for (const [file, message] of cases) expect(faultOf(file)).toMatch(message);
  expect(cases).toHaveLength(5);
});

test("a file that is there, or can be made, is no fault, and is not made before the first event", () => {
  const there = join(dir, "there.ndjson");
  writeFileSync(there, "{}\n");
  const made = join(dir, "made.ndjson");
  expect([faultOf(there), faultOf(made), existsSync(made)]).toEqual(["", "", false]);
});

test("a file that this user may not write is a fault", () => {
  // No mode keeps root out; of this one the kernel does.
  const closed = process.getuid?.() === 0 ? "/proc/sys/kernel/ostype" : join(dir, "closed.ndjson");
  if (closed.startsWith(dir)) {
    writeFileSync(closed, "");
    chmodSync(closed, 0o400);
  }
  expect(faultOf(closed)).toMatch(/: the file: this user may not open it, /);
});
