/**
 * Many agents in one process, each with a dialer and a session of its own, all serving "web".
 *
 * They dial, wait and come back as real agents do. What a whole agent does beside that, it does for a container: here
 * a thousand of them share one, and each would look through all sockets of the others.
 * Arguments: HOST:PORT of the gateway, the file with the token, and how many. Prints its ready line when all are up.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { replayToApp } from "../../lib/http/replay_app.ts";
import { dialLink } from "../../lib/link/dial.ts";
import { Dialer } from "../../lib/link/dialer.ts";
import type { Link } from "../../lib/link/link.ts";
import { MemoryBudget } from "../../lib/mux/budget.ts";
import { Session } from "../../lib/mux/session.ts";
import type { Stream } from "../../lib/mux/stream.ts";
import { decodeRequestHead } from "../../lib/wire/head.ts";
import type { OpenPayload } from "../../lib/wire/open.ts";

/** Links that are being made at once at the start, which is not what is measured. */
const STARTS_MAX = 32;

const [address = "", tokenFile = "", countText = ""] = process.argv.slice(2);
const [host = "", portText = ""] = address.split(":");
const token = readFileSync(tokenFile, "utf8").trim();
const budget = new MemoryBudget(1 << 30, false);
const gateway = { kind: "tcp", secure: false, host, port: Number(portText), path: "/.netwall/link" } as const;

function serve(stream: Stream, open: OpenPayload): void {
  void replayToApp({
    ...{ stream, request: decodeRequestHead(open.head), body: open.body },
    handler: () => new Response("served"),
    upgrade: false,
    onDone: () => {},
  });
}

/** Holds a session on a link until the link is lost. */
function hold(link: Link, onTaken: () => void): Promise<void> {
  return new Promise((resolve) => {
    const session = new Session(link, {
      ...{ role: "agent", helloFields: ["services", "web"], streamsMax: 1024, budget },
      sessionWindowBytes: 32 << 20,
      onReady: () => {},
      onTaken,
      onOpen: serve,
      onGoAway: () => {},
      onClose: () => resolve(),
    });
    session.start();
  });
}

/** One agent; settles when it is linked for the first time. */
function startAgent(): Promise<void> {
  return new Promise((resolve, reject) => {
    const dialer = new Dialer({
      dial: (signal) => dialLink({ gateway, token, signal }),
      onLink: (link) => hold(link, resolve),
    });
    dialer.done.catch(reject);
    dialer.start();
  });
}

const left = { count: Number(countText) };
async function startSome(): Promise<void> {
  while (left.count > 0) {
    left.count -= 1;
    await startAgent();
  }
}

process.on("SIGTERM", () => process.exit(0));
await Promise.all(Array.from({ length: STARTS_MAX }, startSome));
process.stdout.write(`ready {"agents":"${countText}"}\n`);
