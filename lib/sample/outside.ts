/**
 * The outside of the sample: hosts that its containers call. They are servers on loopback, so that trying it out calls
 * nobody on the Internet.
 *
 * @module
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { between, type Random } from "./random.ts";

/** The host that payments are verified at: the one name for loopback that every machine has. */
const VERIFIER_NAME = "localhost";
/** The host that no part of the sample has any business with. */
const UNKNOWN_ADDRESS = "127.0.0.66";
const LOOPBACK = "127.0.0.1";

const CONNECTIONS_MAX = 64;
const ANSWER_MS_MIN = 5;
const ANSWER_MS_MAX = 40;

/** Hosts outside. */
export interface Outside {
  /** `HOST:PORT` of the host that payments are verified at. */
  readonly verifier: string;
  /** `HOST:PORT` of the host that nobody should call. */
  readonly unknown: string;
  /** The rules that let a gateway call them, as `--allow-egress` takes them. */
  readonly egressRules: readonly string[];
  close(): void;
}

/** Opens them at ports that the system picks. */
export async function openOutside(random: Random): Promise<Outside> {
  const verifier = await open(LOOPBACK, '{"verified":true}\n', random);
  // Where the system has only one address of loopback, that one: its number is no name, so it is another host.
  const unknown = await open(UNKNOWN_ADDRESS, "thank you\n", random)
    .catch(() => open(LOOPBACK, "thank you\n", random));
  return {
    verifier: `${VERIFIER_NAME}:${verifier.port}`,
    unknown: `${unknown.host}:${unknown.port}`,
    egressRules: [
      `${VERIFIER_NAME}:${verifier.port}`,
      // The outside lies on loopback here, which must be said; on the Internet the name alone would do.
      `${LOOPBACK}/32:${verifier.port}`,
      `${unknown.host}/32:${unknown.port}`,
    ],
    close: () => {
      for (const { server } of [verifier, unknown]) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}

/** A host that answers everything with the same. */
function open(
  host: string,
  answer: string,
  random: Random,
): Promise<{ readonly server: Server; readonly host: string; readonly port: number }> {
  const server = createServer(async (incoming, response) => {
    incoming.resume();
    await pause(between(random, ANSWER_MS_MIN, ANSWER_MS_MAX));
    response.end(answer);
  });
  server.maxConnections = CONNECTIONS_MAX;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, host, () => {
      const { port } = server.address() as AddressInfo;
      resolve({ server, host, port });
    });
  });
}
