/**
 * Links between processes: every runtime and form of the program with this one, and a peer that is killed.
 *
 * @module
 */

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { dialLink } from "../../lib/link/dial.ts";
import type { Link } from "../../lib/link/link.ts";
import { pattern, Recorder, sameBytes } from "../contract/link.ts";
import { bunBinary, denoBinary, type RunningProcess, useProcesses } from "../support/processes.ts";
import { startGateway } from "./link_pairs.ts";

const SOURCE = join(import.meta.dirname!, "link_child.ts");
const KINDS = ["bun source", "bun bundle", "deno source"] as const;
const processes = useProcesses();
let bundle: Promise<string> | undefined;

/** As it is published. */
async function build(): Promise<string> {
  const file = join(processes.folder("link-child"), "link_child.js");
  await processes.run([bunBinary(), "build", "--target=node", `--outfile=${file}`, SOURCE]);
  return file;
}

async function start(kind: (typeof KINDS)[number], args: string[]): Promise<RunningProcess> {
  if (kind === "bun bundle") bundle ??= build();
  const command = {
    "bun source": () => [bunBinary(), SOURCE],
    "bun bundle": async () => [bunBinary(), await bundle!],
    "deno source": () => [denoBinary(), "run", "-A", SOURCE],
  }[kind];
  return processes.start([...await command(), ...args]);
}

/** Sends two megabytes, gets them back, kills the peer, and hears of it. */
async function exchangeAndKill(link: Link, child: RunningProcess): Promise<void> {
  const heard = new Recorder(link).start();
  for (let index = 0; index < 32; index++) link.send(pattern(65_536, index));
  await heard.until(({ bytes }) => bytes === 32 * 65_536);
  const sent = Array.from({ length: 32 }, (_, index) => pattern(65_536, index));
  expect(sameBytes(heard.content(), Buffer.concat(sent))).toBe(true);
  child.kill();
  expect((await heard.closed()).clean).toBe(false);
  expect([heard.closes.length, heard.late]).toEqual([1, 0]);
}

describe("wrapWebSocket() between processes", () => {
  let ran = 0;
  for (const kind of KINDS) {
    test(`carries bytes to an agent on ${kind} and hears of its death`, async () => {
      const gateway = await startGateway("ws");
      const child = await start(kind, ["agent", JSON.stringify(gateway.address)]);
      const link = await gateway.nextLink();
      await child.ready;
      await exchangeAndKill(link, child);
      await gateway.dispose();
      ran++;
    });

    test(`carries bytes to a gateway on ${kind} and hears of its death`, async () => {
      const child = await start(kind, ["gateway"]);
      const port = Number((await child.ready)["port"]);
      const gateway = { kind: "tcp", secure: false, host: "127.0.0.1", port, path: "/" } as const;
      await exchangeAndKill(await dialLink({ gateway, token: "good" }), child);
      ran++;
    });
  }

  test("ran with every kind", () => {
    expect(ran).toBe(6);
  });
});
