/**
 * A small shop behind a gateway, in real processes: each part is a workload with its own agent and token.
 *
 *     visitor → front-end → user → user-db (Redis)
 *                        ↘ payment → verifier (outside)
 *
 * No part can be reached but by its agent. What one part calls goes through doors of its agent, which are unix sockets
 * here: one for each service that the program knows of, and a proxy for everything else, as a container with no network
 * would have it. The tokens let everybody call everybody: the firewall is what judges.
 *
 * The outside is servers in this process, at `localhost` and at 127.0.0.66: names for addresses of loopback that every
 * machine has, without a change to its hosts file.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { copyFileSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type Server as NetServer, type Socket } from "node:net";
import { join } from "node:path";
import {
  bunBinary,
  denoBinary,
  freePort,
  netwallCommand,
  type ProcessGroup,
  ROOT,
  type RunningProcess,
  type Runtime,
} from "../../test/support/processes.ts";
import { findBinary } from "../../test/support/services.ts";
import { type Got, openTunnel, send, type Tunnel } from "./client.ts";
import { redis, startStandIn } from "./redis.ts";
import { call } from "./service.ts";
import {
  CUSTOMERS,
  groupOfPart,
  type Hostile,
  IMAGES,
  NAMESPACE,
  type Part,
  PARTS,
  SHOP_HOST,
  type ShopEdge,
  shopEdges,
  type Visit,
} from "./traffic.ts";

/** An address of loopback that nothing else is at: the host that no part of the shop knows. */
const UNKNOWN_HOST = "127.0.0.66";

export interface ShopOptions {
  readonly processes: ProcessGroup;
  /** What gateway and agents run on. */
  readonly runtime: Runtime;
  /** More settings of the gateway. */
  readonly gatewayArgs?: readonly string[];
}

/** A gateway of the shop. */
export interface ShopGateway {
  readonly process: RunningProcess;
  readonly data: string;
  /** `HOST:PORT` of the admin API. */
  readonly admin: string;
  readonly httpPort: number;
  /** For the admin API. */
  readonly adminToken: string;
}

/** What a command of `netwall-gateway` did. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Shop {
  readonly #options: ShopOptions;
  readonly #folder: string;
  readonly #servers: (Server | NetServer)[] = [];
  readonly #tunnels = new Set<Socket>();
  #gateway: ShopGateway | undefined;
  #dbPort = 0;
  #dbName = "";
  #outside: { readonly verifier: string; readonly unknown: string } = { verifier: "", unknown: "" };

  private constructor(options: ShopOptions) {
    this.#options = options;
    this.#folder = options.processes.folder("shop");
  }

  /** Starts everything; what was started ends with the process group. */
  static async start(options: ShopOptions): Promise<Shop> {
    const shop = new Shop(options);
    await Promise.all([shop.#openOutside(), shop.#openDatabase()]);
    shop.#gateway = await shop.#startGateway(options.processes.folder("edge"));
    await shop.#startParts();
    return shop;
  }

  get gateway(): ShopGateway {
    return this.#gateway!;
  }

  /** The program behind `user-db`. */
  get database(): string {
    return this.#dbName;
  }

  /** The port that user-db listens on, in its own container. */
  get dbPort(): number {
    return this.#dbPort;
  }

  /** The hosts outside, as `HOST:PORT`. */
  get outside(): { readonly verifier: string; readonly unknown: string } {
    return this.#outside;
  }

  /** Who talks to what in truth. */
  get edges(): readonly ShopEdge[] {
    return shopEdges(this.#outside.verifier);
  }

  /** A visitor's request, by a proxy in front of the gateway that tells who the visitor is. */
  visit({ address, method, path, contentType, body }: Visit): Promise<Got> {
    const headers: Record<string, string> = { Host: SHOP_HOST, "X-Forwarded-For": address };
    if (contentType !== undefined) headers["Content-Type"] = contentType;
    if (body !== undefined) headers["Content-Length"] = String(Buffer.byteLength(body));
    return send({ host: "127.0.0.1", port: this.gateway.httpPort, method, path, headers }, body);
  }

  /** Legal requests, one after the other. @returns How many were answered with an error, by status. */
  async traffic(visits: Iterator<Visit, unknown>, count: number): Promise<Map<number, number>> {
    const faults = new Map<number, number>();
    for (let done = 0; done < count; done++) {
      const { value, done: isOver } = visits.next();
      if (isOver) break;
      const { status } = await this.visit(value);
      if (status >= 400) faults.set(status, (faults.get(status) ?? 0) + 1);
    }
    return faults;
  }

  /**
   * What a shell in a part does with the proxy that is all its network: a tunnel to a service or to a host outside.
   *
   * @param target `HOST:PORT`, or a service: it is then called by its name within the wall.
   */
  tunnel(from: Part, target: Part | `${string}:${number}`): Promise<Tunnel> {
    const to = target.includes(":") ? target : `${target}.netwall.internal:${this.#dbPort}`;
    const socket = connect({ path: this.#path(from, "proxy") });
    this.#tunnels.add(socket);
    socket.once("close", () => this.#tunnels.delete(socket));
    return openTunnel(socket, to);
  }

  /** What a shell in a part asks of a service that speaks HTTP, by the same proxy. */
  ask(from: Part, service: Part, method: string, path: string): Promise<Got> {
    const host = `${service}.netwall.internal`;
    return call({ socketPath: this.#path(from, "proxy"), method, path: `http://${host}${path}`, host });
  }

  /** Does what nobody has any business to do. @returns What came of it; a connection is closed again. */
  async attack(hostile: Hostile): Promise<Got | Tunnel> {
    if (hostile.kind !== "edge") return await this.visit(hostile.visit);
    // Of HTTP each request is judged: a connection that asks for nothing is nothing yet.
    if ("service" in hostile && hostile.service !== "user-db") {
      return await this.ask(hostile.from, hostile.service, "GET", "/users/1");
    }
    const target = "service" in hostile
      ? hostile.service
      : this.#outside[hostile.outside] as `${string}:${number}`;
    const tunnel = await this.tunnel(hostile.from, target);
    if (tunnel.kind === "open") tunnel.socket.destroy();
    return tunnel;
  }

  /** A command of `netwall-gateway`, as an operator types it. It is told which gateway it is for. */
  async command(args: readonly string[], gateway: ShopGateway = this.gateway): Promise<CommandResult> {
    const argv = [...netwallCommand(this.#options.runtime, "gateway"), ...args];
    const child = this.#options.processes.start([
      ...argv,
      ...["--admin", gateway.admin, "--data", gateway.data],
    ]);
    const { code } = await child.exit;
    return { code, stdout: child.stdout(), stderr: child.stderr() };
  }

  /** A question to the admin API. @param path Behind `/api/v1/`. */
  api(method: string, path: string, body?: unknown): Promise<Got> {
    const { admin, adminToken } = this.gateway;
    const [host = "", port = ""] = admin.split(":");
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers: Record<string, string> = { Host: admin, Authorization: `Bearer ${adminToken}` };
    if (text !== undefined) {
      headers["Content-Type"] = "application/json";
      headers["Content-Length"] = String(Buffer.byteLength(text));
    }
    return send({ host, port: Number(port), method, path: `/api/v1/${path}`, headers }, text);
  }

  /** Puts a gateway that knows nothing in the place of this one, with its key alone: the agents come by themselves. */
  async replaceGateway(): Promise<void> {
    const { process, data } = this.gateway;
    const fresh = this.#options.processes.folder("fresh");
    copyFileSync(join(data, "signing-key.pem"), join(fresh, "signing-key.pem"));
    await process.stop();
    this.#gateway = await this.#startGateway(fresh);
    await this.#untilLinked();
  }

  /** Closes what runs in this process; the other processes end with their group. */
  stop(): void {
    for (const socket of this.#tunnels) socket.destroy();
    for (const server of this.#servers) {
      if ("closeAllConnections" in server) server.closeAllConnections();
      server.close();
    }
  }

  #path(part: Part | "gateway", door: string): string {
    return join(this.#folder, `${part}-${door}.sock`);
  }

  async #openOutside(): Promise<void> {
    const open = async (host: string, answer: string): Promise<number> => {
      const server = createServer((incoming, response) => {
        incoming.resume();
        incoming.once("end", () => response.end(answer));
      });
      this.#servers.push(server);
      const failed = new Promise((_, reject) => server.once("error", reject));
      await Promise.race([failed, new Promise<void>((resolve) => server.listen(0, host, resolve))]);
      return (server.address() as AddressInfo).port;
    };
    const verifier = `localhost:${await open("127.0.0.1", '{"verified":true}')}`;
    this.#outside = { verifier, unknown: `${UNKNOWN_HOST}:${await open(UNKNOWN_HOST, "thank you\n")}` };
  }

  /** Redis where there is one, else the stand-in; with the customers in it. */
  async #openDatabase(): Promise<void> {
    const { processes } = this.#options;
    const binary = findBinary("redis-server") ?? findBinary("valkey-server");
    if (binary === undefined) {
      const server = await startStandIn();
      this.#servers.push(server);
      this.#dbPort = (server.address() as AddressInfo).port;
      this.#dbName = "a stand-in, as there is no Redis here";
    } else {
      this.#dbPort = await freePort();
      this.#dbName = `Redis, ${binary}`;
      const child = processes.start([
        ...[binary, "--port", String(this.#dbPort), "--bind", "127.0.0.1"],
        ...["--save", "", "--appendonly", "no", "--dir", this.#folder],
      ]);
      await child.waitFor("stdout", /ready to accept connections/i);
    }
    const client = redis(connect(this.#dbPort, "127.0.0.1"));
    for (let id = 1; id <= CUSTOMERS; id++) await client.ask("SET", `user:${id}`, `Customer ${id}`);
    client.close();
  }

  async #startGateway(data: string): Promise<ShopGateway> {
    const { processes, runtime, gatewayArgs = [] } = this.#options;
    const { verifier, unknown } = this.#outside;
    const [verifierPort, unknownPort] = [verifier, unknown].map((each) => each.split(":")[1]);
    const process = processes.gateway(runtime, [
      ...["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", data],
      ...["--link", `unix:${this.#path("gateway", "link")}`, "--route", "*=front-end"],
      ...["--trusted-proxy", "127.0.0.1/32"],
      // The outside lies on loopback here, which must be said; on the Internet the name alone would do.
      ...["--allow-egress", verifier, "--allow-egress", `127.0.0.0/8:${verifierPort}`],
      ...["--allow-egress", `${UNKNOWN_HOST}/32:${unknownPort}`],
      ...gatewayArgs,
    ]);
    const { http = "", admin = "" } = await process.ready;
    const adminToken = readFileSync(join(data, "admin-token"), "utf8").trim();
    return { process, data, admin, adminToken, httpPort: Number(http.split(":")[1]) };
  }

  /** Programs first, as an agent must know where they are; doors are known by their paths before they are there. */
  async #startParts(): Promise<void> {
    const doorOf = (from: Part, to: Part): string => this.#path(from, to);
    const program = (name: string, env: Record<string, string>): RunningProcess => {
      const file = join(ROOT, "examples", "shop", `${name}.ts`);
      const { runtime, processes } = this.#options;
      const isDeno = runtime === "deno" || runtime === "bundle-deno";
      return processes.start(isDeno ? [denoBinary(), "run", "-A", "--no-check", file] : [bunBinary(), file], {
        env,
      });
    };
    const programs = await Promise.all(
      [
        program("front_end", {
          USER_DOOR: doorOf("front-end", "user"),
          PAYMENT_DOOR: doorOf("front-end", "payment"),
        }),
        program("user", { DB_DOOR: doorOf("user", "user-db") }),
        program("payment", { PROXY: this.#path("payment", "proxy"), VERIFIER: this.#outside.verifier }),
      ].map(async ({ ready }) => `http://${(await ready)["http"]}`),
    );
    const [frontEnd = "", user = "", payment = ""] = programs;
    await Promise.all([
      this.#startAgent("front-end", frontEnd, ["user", "payment"]),
      this.#startAgent("user", user, ["user-db"]),
      this.#startAgent("user-db", `tcp://127.0.0.1:${this.#dbPort}`, []),
      this.#startAgent("payment", payment, []),
    ]);
  }

  async #startAgent(part: Part, target: string, reaches: readonly Part[]): Promise<void> {
    const { processes, runtime } = this.#options;
    const minted = await processes.run([
      ...netwallCommand(runtime, "gateway"),
      ...["token", "--name", `${part}-1`, "--serve", part, "--reach", "*", "--egress"],
      ...["--namespace", NAMESPACE, "--image", IMAGES[part], "--data", this.gateway.data],
    ]);
    const agent = processes.agent(runtime, [
      ...["--gateway", `unix:${this.#path("gateway", "link")}`, "--serve", `${part}=${target}`],
      ...reaches.flatMap((to) => ["--reach", `${to}=unix:${this.#path(part, to)}`]),
      ...["--egress", `unix:${this.#path(part, "proxy")}`],
      // These are processes, not containers, so what an agent reads off its container is said by hand.
      ...["--container-name", `shop-${part}-1`, "--container-id", containerId(part)],
      // And what listens beside them belongs to others.
      "--audit-wall=false",
    ], { env: { NETWALL_TOKEN: minted.trim() } });
    await agent.ready;
  }

  /** Until every part answers by way of the gateway that stands now. */
  async #untilLinked(): Promise<void> {
    const deadlineMs = Date.now() + 30_000;
    for (;;) {
      const { body } = await this.api("GET", "links");
      if (PARTS.every((part) => body.includes(`"${part}-1"`))) return;
      if (Date.now() > deadlineMs) throw new Error(`Not all agents came to the fresh gateway: ${body}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** An id as engines give them, made up from the name. */
export function containerId(part: Part): string {
  return createHash("sha256").update(`shop ${part}`).digest("hex");
}

/** The groups of the shop by part. */
export const GROUPS: Readonly<Record<Part, string>> = Object.fromEntries(
  PARTS.map((part) => [part, groupOfPart(part)]),
) as Record<Part, string>;
