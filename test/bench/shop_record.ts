/**
 * The shop of the examples in real processes, with what its gateway recorded of it: half of it learned, half judged.
 *
 * @module
 */
import { type Hostile, hostileTraffic, PARTS, visits } from "../../examples/shop/traffic.ts";
import { GROUPS, Shop } from "../../examples/shop/shop.ts";
import { type DeviationKind, type Group, parseGroupId } from "../../lib/policy/flow.ts";
import { type LoggedFlow, loggedFlows } from "../support/access_log_flows.ts";
import { ProcessGroup, type RunningProcess, type Runtime } from "../support/processes.ts";
import { edgeLine } from "../support/shop_flows.ts";

/** Visits between two readings of the log: what a process wrote is kept to a bound. */
const VISITS_AT_ONCE = 50;
/** Hostile flows of each kind. */
const HOSTILE_OF_KIND = 50;
const LOG_MS_MAX = 20_000;

export interface ShopRecord {
  readonly truth: readonly string[];
  /** The edges of the map that are learned, as the admin API tells them. */
  readonly learned: readonly string[];
  readonly first: readonly LoggedFlow[];
  readonly second: readonly LoggedFlow[];
  readonly hostile: Readonly<
    Record<DeviationKind, { readonly sent: number; readonly flows: readonly LoggedFlow[] }>
  >;
  /** Legal requests that were answered with an error. */
  readonly faults: number;
}

/** Reads a log while it is written. A process keeps only the end of its output, so it is read often. */
class LogReader {
  readonly #process: RunningProcess;
  readonly #groups: ReadonlyMap<string, Group>;
  #last = "";

  constructor(process: RunningProcess) {
    this.#process = process;
    this.#groups = new Map(PARTS.map((part) => [part, parseGroupId(GROUPS[part])!]));
  }

  /** What came since the last call and is wanted, once there are so many flows or nothing more comes. */
  async next(atLeast: number, isWanted: (flow: LoggedFlow) => boolean = () => true): Promise<LoggedFlow[]> {
    const deadlineMs = Date.now() + LOG_MS_MAX;
    for (;;) {
      const lines = this.#fresh();
      const flows = loggedFlows(lines.join("\n"), this.#groups).filter(isWanted);
      if (flows.length >= atLeast || Date.now() > deadlineMs) {
        this.#last = lines.at(-1) ?? this.#last;
        return flows;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #fresh(): string[] {
    // The last one may not be whole yet.
    const lines = this.#process.stderr().split("\n").slice(0, -1);
    const at = this.#last === "" ? -1 : lines.lastIndexOf(this.#last);
    if (this.#last !== "" && at < 0) {
      throw new Error("Cannot read the log: it was written faster than it was read");
    }
    return lines.slice(at + 1);
  }
}

/** Runs the shop. @param visitsHalf Visits of each half. */
export async function recordShop(runtime: Runtime, seed: number, visitsHalf: number): Promise<ShopRecord> {
  const processes = new ProcessGroup();
  let shop: Shop | undefined;
  try {
    // A connection that its caller cut off, as the shop's user does, is told at the level debug.
    const gatewayArgs = [
      "--log-access",
      "--log-format",
      "json",
      "--log-level",
      "debug",
      "--learning-promote=false",
    ];
    shop = await Shop.start({ processes, runtime, gatewayArgs });
    const log = new LogReader(shop.gateway.process);
    const legal = visits(seed);
    let faults = 0;
    const half = async (): Promise<LoggedFlow[]> => {
      const flows: LoggedFlow[] = [];
      for (let done = 0; done < visitsHalf; done += VISITS_AT_ONCE) {
        const failed = await shop!.traffic(legal, VISITS_AT_ONCE);
        faults += [...failed.values()].reduce((sum, count) => sum + count, 0);
        flows.push(...await log.next(VISITS_AT_ONCE));
      }
      return flows;
    };
    const first = await half();
    const learned = await learnedEdges(shop);
    for (const part of PARTS) {
      const { status, body } = await shop.api("PUT", "groups/mode", { group: GROUPS[part], mode: "alert" });
      if (status !== 200) throw new Error(`Cannot set the mode of ${part}: ${status} ${body}`);
    }
    const second = await half();
    return {
      ...{ truth: shop.edges.map(edgeLine), learned, first, second, faults },
      hostile: await attack(shop, log, seed),
    };
  } finally {
    shop?.stop();
    await processes.dispose();
  }
}

/** The edges of the map, those of the model alone. */
async function learnedEdges(shop: Shop): Promise<string[]> {
  const { body } = await shop.api("GET", "edges");
  const { items } = JSON.parse(body) as { items: (Record<string, string> & { port: number })[] };
  return items.filter(({ state }) => state === "learned").map((edge) => {
    const to = edge["service"] === ""
      ? `${edge["host"]}:${edge.port}`
      : `${edge["destination"]} ${edge["service"]}`;
    return `${edge["direction"]} ${edge["protocol"]} ${edge["source"]} > ${to}`;
  });
}

/** Sends hostile flows, one kind after the other, so that each line of the log is known to be of its kind. */
async function attack(shop: Shop, log: LogReader, seed: number): Promise<ShopRecord["hostile"]> {
  const record = {} as Record<DeviationKind, { sent: number; flows: LoggedFlow[] }>;
  for (const kind of ["edge", "route", "method", "contentType"] as const) {
    // What the second half still had to tell is not of this.
    await log.next(0);
    let sent = 0;
    for (const hostile of hostileTraffic(seed + 1)) {
      if (hostile.kind !== kind) continue;
      await send(shop, hostile);
      sent += 1;
      if (sent === HOSTILE_OF_KIND) break;
    }
    record[kind] = { sent, flows: await log.next(sent, isNoFollower) };
  }
  return record;
}

/** In the mode alert a hostile call is answered, for which the user service asks its database: that is legal. */
function isNoFollower({ flow: { source, destination } }: LoggedFlow): boolean {
  const isUser = source.kind === "group" && source.group.id === GROUPS.user;
  return !(isUser && destination.kind === "service" && destination.service === "user-db");
}

async function send(shop: Shop, hostile: Hostile): Promise<void> {
  if (hostile.kind !== "edge") return void await shop.visit(hostile.visit);
  const target = "service" in hostile
    ? hostile.service
    : shop.outside[hostile.outside] as `${string}:${number}`;
  const tunnel = await shop.tunnel(hostile.from, target);
  if (tunnel.kind === "refused") throw new Error(`${hostile.from} was refused ${target}: ${tunnel.reason}`);
  const { socket } = tunnel;
  // A service of HTTP is called by a request, and the database says something to it too.
  const ended = new Promise((resolve) => socket.once("close", resolve));
  socket.resume();
  socket.end("GET /users/1 HTTP/1.1\r\nHost: user\r\nConnection: close\r\n\r\n");
  await ended;
}
