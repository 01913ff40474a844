/**
 * The sample wall: who stands in it, what they may call, and what runs behind them. All of it lives in one process.
 *
 * The parts are what their tokens say, as anywhere: a namespace, an image, a service. Their programs are functions, or
 * a unix socket in a folder of this run; the doors by which they call each other are such sockets too. The tokens let
 * everybody call everybody, as the firewall is what is to be seen at work.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { FetchHandler } from "../http/replay_app.ts";
import { catalogueApp, frontEndApp, outsideQuestion, paymentApp, userApp } from "./apps.ts";
import { Client } from "./client.ts";
import { askDatabase, startDatabase } from "./database.ts";
import { openOutside } from "./outside.ts";
import { seeded } from "./random.ts";
import { type LearningGate, SampleTraffic } from "./traffic.ts";
import { hostileVisit } from "./visits.ts";

/** Any number would do: it makes two runs alike. */
const SEED = 7;

/** Seconds in the place of hours and days. */
const GATE: LearningGate = { timeMs: 30_000, quietMs: 15_000, requests: 8 };
/** The share of traffic that may be unseen: visits come twice at least, so that it is near 0 soon. */
const UNSEEN_SHARE = 0.1;

/** For visitors to leave: nearly all are gone after 0.2 s. */
const LEAVE_MS_MAX = 400;

/** A workload, with what its agent is started with. */
export interface SamplePart {
  /** Of the agent; the service has the same. */
  readonly name: string;
  readonly namespace: string;
  readonly image: string;
  readonly egress: boolean;
  /** The program; without one there is a target in the settings. */
  readonly handler: FetchHandler | undefined;
  /** Settings of the agent, by the names of its flags. */
  readonly settings: Readonly<Record<string, string | string[]>>;
}

/** What stands, before there is a gateway. */
export interface SampleWall {
  readonly parts: readonly SamplePart[];
  /** Settings of the gateway, by the names of its flags. */
  readonly gatewaySettings: Readonly<Record<string, string | string[]>>;
  /** Sends visitors to the gateway, and strangers once it has learned. */
  startTraffic(host: string, port: number): void;
  /** Lets nobody in any more, and settles when all have left and no program asks another. */
  stopTraffic(): Promise<void>;
  /** Ends the programs that listen. */
  close(): void;
}

/**
 * Opens what the parts need beside their agents.
 *
 * @param folder An empty one of this run: the sockets are in it.
 */
export async function openSampleWall(folder: string): Promise<SampleWall> {
  const random = seeded(SEED);
  const client = new Client();
  const tools = { random, client };
  const path = (name: string): string => join(folder, `${name}.sock`);
  const outside = await openOutside(random);
  const database = await startDatabase(path("user-db")).catch((error) => {
    outside.close();
    throw error;
  });
  const doors = {
    catalogue: path("front-end-catalogue"),
    user: path("front-end-user"),
    payment: path("front-end-payment"),
    "user-db": path("front-end-user-db"),
  };
  const [userDoor, proxy] = [path("user-user-db"), path("payment-outside")];
  const reach = (to: Readonly<Record<string, string>>): string[] =>
    Object.entries(to).map(([service, door]) => `${service}=unix:${door}`);
  let traffic: SampleTraffic | undefined;
  return {
    parts: [
      part("shop", "front-end", frontEndApp(doors, tools), { reach: reach(doors) }),
      part("shop", "catalogue", catalogueApp(tools), {}),
      part("shop", "user", userApp(userDoor, tools), { reach: reach({ "user-db": userDoor }) }),
      part("shop", "payment", paymentApp(proxy, outside.verifier, tools), { egress: `unix:${proxy}` }),
      part("data", "user-db", undefined, { serve: [`user-db=unix+tcp:${path("user-db")}`] }),
    ],
    gatewaySettings: {
      route: ["*=front-end"],
      "trusted-proxy": ["127.0.0.1/32", "::1/128"],
      "allow-egress": [...outside.egressRules],
      "learning-time": `${GATE.timeMs}ms`,
      "learning-quiet": `${GATE.quietMs}ms`,
      "learning-requests": String(GATE.requests),
      "learning-unseen": String(UNSEEN_SHARE),
    },
    startTraffic: (host, port) => {
      traffic = new SampleTraffic({
        ...{ host, port, random, client, gate: GATE },
        strangers: [
          () => askDatabase(doors["user-db"], "GET user:1"),
          () => client.ask(outsideQuestion(proxy, outside.unknown, "/collect")),
          (visit) => visit(hostileVisit(random)),
        ],
      });
    },
    stopTraffic: async () => {
      traffic?.stop();
      await client.close(LEAVE_MS_MAX);
    },
    close: () => {
      database.close();
      outside.close();
    },
  };
}

function part(
  namespace: string,
  name: string,
  handler: FetchHandler | undefined,
  settings: SamplePart["settings"],
): SamplePart {
  const egress = "egress" in settings;
  return {
    ...{ name, namespace, image: `${name}:1.0`, egress, handler },
    settings: {
      ...(handler === undefined ? {} : { app: "sample", as: name }),
      ...settings,
      // There is no container to read it off, so it is said by hand, as an agent may always be told.
      "container-name": `${name}-1`,
      "container-id": createHash("sha256").update(`sample ${name}`).digest("hex"),
    },
  };
}
