/**
 * What quickstart tells people, and the little it adds to a gateway and an agent: a token and a place for the key.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A data directory that lives as long as the trial. */
export function temporaryData(): { dir: string; remove(): void } {
  const dir = mkdtempSync(join(tmpdir(), "netwall-"));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/**
 * The lines that greet on a terminal.
 *
 * @param target What is published, or nothing for the sample.
 */
export function greeting(url: string, target: string | undefined): string {
  const sample = target === undefined;
  return [
    "",
    `  ${url}  →  gateway  →  one outgoing socket  →  agent  →  ${
      target ?? "a sample that listens on no port"
    }`,
    "",
    "  Try it:",
    sample ? `    curl ${url}` : `    curl -i ${url}`,
    ...(sample ? [`    curl -N ${url}/events`, `    curl -d 'any body' ${url}/echo`] : []),
    "",
    sample ? "  Publish your own:" : "  Publish something else:",
    "    npm start -- http://127.0.0.1:3000",
    "",
    "  Ctrl-C ends it all and leaves nothing behind.",
    "",
    "",
  ].join("\n");
}
