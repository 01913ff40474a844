/**
 * A gateway, an agent and what it serves, each in its own namespace of a lab, with all that can be asked of them.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { eventually, mintFor, type Pairing, residentBytes } from "../e2e/wall.ts";
import {
  bunBinary,
  netwallCommand,
  type ProcessGroup,
  ROOT,
  type RunningProcess,
} from "../support/processes.ts";
import { ADDRESSES, GATEWAY_PORT, type Lab, TCP_PORT } from "./lab.ts";
import type { VisitRecord } from "./visitor.ts";

/** Longer than a scrape takes on a busy machine. */
const SCRAPE_MS_MAX = 10_000;

/** Without it `deno run` itself asks for the newest version of Deno: a call to the outside that is not the agent's. */
const NO_UPDATE_CHECK = { DENO_NO_UPDATE_CHECK: "1" };

/** What a process holds that could leak. */
export interface Holdings {
  readonly fds: number;
  readonly rssBytes: number;
}

/** What is held when nobody visits. */
export interface Quiet {
  readonly links: number;
  readonly streams: number;
  readonly heldBytes: number;
  readonly creditBytes: number;
  readonly gateway: Holdings;
  readonly agent: Holdings;
}

/** What one side wrote in its log: a message and when, in Unix ms. */
export interface LogLine {
  readonly message: string;
  readonly timeMs: number;
}

/** A running wall in a lab. */
export class Rig {
  readonly lab: Lab;
  readonly gateway: RunningProcess;
  readonly agent: RunningProcess;
  /** The window of a link that nothing has passed yet. */
  windowBytes = 0;
  readonly #group: ProcessGroup;
  readonly #folder: string;
  #reports = 0;

  private constructor(
    group: ProcessGroup,
    lab: Lab,
    folder: string,
    processes: readonly [gateway: RunningProcess, agent: RunningProcess],
  ) {
    this.#group = group;
    this.lab = lab;
    this.#folder = folder;
    [this.gateway, this.agent] = processes;
  }

  /** Starts everything and waits until the agent is linked. */
  static async start(group: ProcessGroup, lab: Lab, pairing: Pairing): Promise<Rig> {
    const folder = group.folder("chaos");
    const [web, echo] = [join(folder, "web.sock"), join(folder, "echo.sock")];
    const inside = [bunBinary(), join(ROOT, "test", "chaos", "target.ts"), web, echo];
    const target = group.start(lab.argv("container", inside));
    const address = `${ADDRESSES.gateway}:${GATEWAY_PORT}`;
    const gateway = group.start(lab.argv("gateway", [
      ...netwallCommand(pairing[0], "gateway"),
      ...["--http", address, "--admin", `unix:${join(folder, "admin.sock")}`],
      ...["--data", folder, "--route", "*=web", "--tcp", `${ADDRESSES.gateway}:${TCP_PORT}=echo`],
    ]));
    await Promise.all([gateway.ready, target.ready]);
    const token = await mintFor(folder);
    const services = ["--serve", `web=unix:${web}`, "--serve", `echo=unix+tcp:${echo}`];
    const agent = group.start(
      lab.argv("container", [
        ...netwallCommand(pairing[1], "agent"),
        ...["--gateway", `ws://${address}`, ...services],
      ]),
      { env: { ...NO_UPDATE_CHECK, NETWALL_TOKEN: token } },
    );
    await agent.ready;
    const rig = new Rig(group, lab, folder, [gateway, agent]);
    rig.windowBytes = (await rig.holdings()).creditBytes;
    return rig;
  }

  /** Lets visitors loose. */
  async visit(): Promise<Visitors> {
    const report = join(this.#folder, `visits-${this.#reports++}.ndjson`);
    const doors = [ADDRESSES.gateway, String(GATEWAY_PORT), String(TCP_PORT)];
    const command = [bunBinary(), join(ROOT, "test", "chaos", "visitor.ts"), ...doors, report];
    const process = this.#group.start(this.lab.argv("client", command));
    await process.ready;
    return new Visitors(process, report);
  }

  /** What is held now. */
  async holdings(): Promise<Quiet> {
    const text = await this.#metrics();
    const gauge = (name: string): number => {
      const match = new RegExp(`^${name} (\\S+)$`, "m").exec(text);
      if (match === null) throw new Error(`Cannot read ${name}: the gateway does not tell it`);
      return Number(match[1]);
    };
    return {
      links: gauge("netwall_links"),
      streams: gauge("netwall_streams"),
      heldBytes: gauge("netwall_held_bytes"),
      creditBytes: gauge("netwall_credit_outstanding_bytes"),
      gateway: holdingsOf(this.gateway.pid),
      agent: holdingsOf(this.agent.pid),
    };
  }

  /** What is held once nothing moves any more; or, after the deadline, what is held though nobody visits. */
  async quiet(isQuiet: (held: Quiet) => boolean, timeoutMs: number): Promise<Quiet> {
    let last: Quiet | undefined;
    try {
      return await eventually(async () => last = await this.holdings(), isQuiet, timeoutMs);
    } catch (error) {
      if (last === undefined) throw error;
      return last;
    }
  }

  /** The log lines of one side with a message, from a moment on. */
  log(side: "gateway" | "agent", message: string, sinceMs: number): LogLine[] {
    return this[side].stderr().split("\n").flatMap((text) => {
      if (!text.includes(`"${message}"`)) return [];
      const line = JSON.parse(text) as { time: string; message: string };
      const timeMs = Date.parse(line.time);
      return line.message === message && timeMs >= sinceMs ? [{ message, timeMs }] : [];
    });
  }

  /** Over the unix socket: the files of a namespace are those of the machine. */
  #metrics(): Promise<string> {
    const authorization = `Bearer ${readFileSync(join(this.#folder, "admin-token"), "utf8").trim()}`;
    return new Promise((resolve, reject) => {
      const request = http.get({
        socketPath: join(this.#folder, "admin.sock"),
        path: "/metrics",
        headers: { authorization },
        agent: false,
        timeout: SCRAPE_MS_MAX,
      }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => text += chunk);
        response.on("error", reject).on("end", () => resolve(text));
      });
      request.on("error", reject);
      request.on("timeout", () => request.destroy(new Error("Cannot read the metrics: no answer in time")));
    });
  }
}

/** The visitors of one scenario. */
export class Visitors {
  readonly #process: RunningProcess;
  readonly #report: string;

  constructor(process: RunningProcess, report: string) {
    this.#process = process;
    this.#report = report;
  }

  /** What they told so far, in the order of their ends. */
  records(): VisitRecord[] {
    let text: string;
    try {
      text = readFileSync(this.#report, "utf8");
    } catch {
      // Nobody has come to an end yet.
      return [];
    }
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    return whole.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as VisitRecord);
  }

  /** Calls them home. @throws {Error} When they did not end well. */
  async stop(): Promise<VisitRecord[]> {
    const { code } = await this.#process.stop();
    if (code !== 0) throw new Error(`The visitors failed: ${this.#process.stderr()}`);
    return this.records();
  }
}

function holdingsOf(pid: number): Holdings {
  return { fds: readdirSync(`/proc/${pid}/fd`).length, rssBytes: residentBytes(pid) };
}
