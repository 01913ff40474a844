/**
 * Many agents in one process: each a real link and a real session that carries nothing, to weigh a gateway with.
 *
 * Arguments: HOST:PORT of the gateway, the file with the token, and how many. Prints its ready line when all are up.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { dialLink } from "../../lib/link/dial.ts";
import { MemoryBudget } from "../../lib/mux/budget.ts";
import { Session } from "../../lib/mux/session.ts";

/** Links that are being made at once: the gateway's accept queue is not what is measured. */
const DIALS_MAX = 16;

const [address = "", tokenFile = "", countText = ""] = process.argv.slice(2);
const [host = "", portText = ""] = address.split(":");
const token = readFileSync(tokenFile, "utf8").trim();
const count = Number(countText);
const budget = new MemoryBudget(1 << 30, false);

function fail(message: string): void {
  process.stderr.write(`Cannot hold ${count} agents: ${message}\n`);
  process.exit(1);
}

/** One agent of the service "web", up once the gateway has said HELLO. An end of its session ends this process. */
async function startAgent(): Promise<void> {
  const gateway = {
    kind: "tcp",
    secure: false,
    host,
    port: Number(portText),
    path: "/.netwall/link",
  } as const;
  const link = await dialLink({ gateway, token });
  await new Promise<void>((resolve) => {
    const session = new Session(link, {
      role: "agent",
      helloFields: ["services", "web"],
      streamsMax: 1024,
      sessionWindowBytes: 32 << 20,
      budget,
      onReady: () => resolve(),
      onOpen: (stream) => stream.reset("internal", "This agent serves nothing"),
      onGoAway: (detail) => fail(detail),
      onClose: (end) => fail(end.message),
    });
    session.start();
  });
}

/** Starts agents until none is left to start. */
async function startSome(left: { count: number }): Promise<void> {
  while (left.count > 0) {
    left.count -= 1;
    await startAgent();
  }
}

process.on("SIGTERM", () => process.exit(0));
const left = { count };
Promise.all(Array.from({ length: DIALS_MAX }, () => startSome(left))).then(
  () => process.stdout.write(`ready {"agents":"${count}"}\n`),
  (error: unknown) => fail(String(error)),
);
