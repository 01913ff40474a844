/**
 * `npm run demo`: a shop behind a gateway, an intruder, and what the firewall makes of it.
 *
 *   npm run demo [-- --runtime bun|deno]
 *
 * Everything runs on loopback, in processes and folders of its own, and is gone at the end. Each line with a mark was
 * checked; the first that does not hold ends it with exit code 1.
 *
 * @module
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { ProcessGroup, type Runtime, RUNTIMES } from "../../test/support/processes.ts";
import { Shop } from "./shop.ts";
import { DEMO_SETTINGS, tellStory } from "./story.ts";
import { StoryFault, Teller } from "./teller.ts";

/** Of the gateway's own log, when something failed. */
const LOG_LINES_SHOWN = 15;

function runtimeOf(argv: readonly string[]): Runtime | undefined {
  try {
    const options = { runtime: { type: "string" } } as const;
    const wanted = parseArgs({ args: [...argv], options }).values.runtime ??
      (process.versions["bun"] === undefined ? "deno" : "bun");
    return RUNTIMES.find((name) => name === wanted);
  } catch {
    return undefined;
  }
}

async function main(): Promise<number> {
  const runtime = runtimeOf(process.argv.slice(2));
  if (runtime === undefined) {
    process.stderr.write("Usage: npm run demo [-- --runtime bun|deno]\n");
    return 2;
  }
  const teller = new Teller((line) => process.stdout.write(`${line}\n`), process.stdout.isTTY === true);
  const processes = new ProcessGroup();
  let shop: Shop | undefined;
  const stop = async (): Promise<void> => {
    shop?.stop();
    await processes.dispose();
  };
  let signalled: number | undefined;
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    // A second signal changes nothing: leaving takes a moment, and leaves nothing behind.
    process.on(signal, () => {
      signalled ??= code;
      void stop().finally(() => process.exit(code));
    });
  }
  const startMs = performance.now();
  const seconds = (): string => ((performance.now() - startMs) / 1000).toFixed(1);
  try {
    teller.step("A sock shop, each part with an agent of its own and no other way in or out");
    shop = await Shop.start({ processes, runtime, gatewayArgs: DEMO_SETTINGS });
    teller.say(
      `It is up after ${seconds()} s, gateway and agents on ${runtime}. user-db is ${shop.database}.`,
    );
    await tellStory({ shop, teller, folder: processes.folder("policy") });
    teller.step(`All of it held: ${teller.checks} checks in ${seconds()} s.`);
    return 0;
  } catch (error) {
    // What was told of is ending, so of course it fails.
    if (signalled !== undefined) return signalled;
    teller.failed(error instanceof StoryFault ? error.message : (error as Error).stack ?? String(error));
    const log = shop?.gateway.process.stderr().trimEnd().split("\n").slice(-LOG_LINES_SHOWN) ?? [];
    if (log.length > 0) teller.say(`The last that the gateway logged:\n${log.join("\n")}`);
    return 1;
  } finally {
    await stop();
  }
}

// Connections that were kept open for later would hold the process up.
void main().then((code) => process.exit(code));
