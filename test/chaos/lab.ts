/**
 * Four hosts on one machine, as network namespaces: a router, a gateway, a container and a client.
 *
 * The router connects the other three. Nothing may open a connection to the container: its own firewall drops what
 * comes in, and so does the router's, which the container cannot change. Out of the container there is one way, to
 * the gateway's port. Names carry the process id, so that several labs stand side by side; the addresses are those of
 * their own namespaces and never meet.
 *
 * Needs Linux, root and the programs of `PROGRAMS`.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { ensurePackage, findBinary } from "../support/services.ts";

/** The hosts that hold something; the router stands between them. */
export type Host = "gateway" | "container" | "client";

/** Every namespace of a lab. */
export type Place = Host | "router";

const PLACES: readonly Place[] = ["client", "container", "gateway", "router"];
const HOSTS: readonly Host[] = ["gateway", "container", "client"];

/** The address of each host. */
export const ADDRESSES: Readonly<Record<Host, string>> = {
  gateway: "10.71.1.2",
  container: "10.71.2.2",
  client: "10.71.3.2",
};

/** The public port of the gateway: the only one that the container may dial. */
export const GATEWAY_PORT = 8080;

/** A raw TCP port of the gateway's, for visitors. */
export const TCP_PORT = 9000;

/** Debian packages by the program that is needed of each. */
const PROGRAMS: readonly (readonly [name: string, binary: string])[] = [
  ["iproute2", "ip"],
  ["iproute2", "ss"],
  ["iproute2", "tc"],
  ["nftables", "nft"],
  ["conntrack", "conntrack"],
];

/** Long enough for any of the small programs here on a busy machine. */
const COMMAND_MS_MAX = 30_000;

/** Namespaces of labs; the number is the process that made them. */
const NAME_PATTERN = /^nw-(\d+)-\d+-(?:router|gateway|container|client)\b/;

/** Why a lab cannot stand here, as words for the name of a skipped test; undefined when it can. */
export function labFault(): string | undefined {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  if (process.getuid?.() !== 0) return "only root may make network namespaces";
  for (const [name, binary] of PROGRAMS) {
    const program = ensurePackage(name, binary);
    if (program.path === undefined) return program.reason;
  }
  const probe = `nw-${process.pid}-0-router`;
  const made = spawnSync(binary("ip"), ["netns", "add", probe], {
    encoding: "utf8",
    timeout: COMMAND_MS_MAX,
  });
  if (made.status !== 0) return `network namespaces are not allowed here: ${made.stderr.trim()}`;
  spawnSync(binary("ip"), ["netns", "del", probe], { timeout: COMMAND_MS_MAX });
  return undefined;
}

/** Why tests in a lab are skipped, printed too. Where `CI` is set they never are: there they fail instead. */
export function labSkip(): string | undefined {
  const fault = labFault();
  if (fault === undefined || process.env["CI"]) return undefined;
  process.stderr.write(`Tests in network namespaces are skipped: ${fault}\n`);
  return fault;
}

function binary(name: string): string {
  return findBinary(name) ?? name;
}

/** Runs a command to its end. @throws {Error} With what it said. */
function command(argv: readonly string[], input = ""): string {
  const [name = "", ...args] = argv;
  const { status, signal, stdout, stderr, error } = spawnSync(binary(name), args, {
    input,
    encoding: "utf8",
    timeout: COMMAND_MS_MAX,
    maxBuffer: 1 << 26,
  });
  if (status === 0) return stdout;
  const cause = error?.message ?? `it ended with ${status ?? signal}`;
  throw new Error(`Cannot run \`${argv.join(" ")}\`: ${cause}: ${stderr}${stdout}`);
}

/** Four namespaces that live until `close`, or until this process ends. */
export class Lab {
  readonly #prefix: string;
  readonly #onExit = (): void => this.close();
  #isOpen = true;

  /** @param number Tells the labs of one process apart. */
  constructor(number: number) {
    this.#prefix = `nw-${process.pid}-${number}`;
    removeLost();
    process.on("exit", this.#onExit);
    try {
      this.#build();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The name of a namespace. */
  namespace(place: Place): string {
    return `${this.#prefix}-${place}`;
  }

  /** The command that runs another one in a namespace, for those who start it themselves. */
  argv(place: Place, argv: readonly string[]): string[] {
    return [binary("ip"), "netns", "exec", this.namespace(place), ...argv];
  }

  /** Runs a command in a namespace to its end. @throws {Error} With what it said. */
  run(place: Place, argv: readonly string[], input?: string): string {
    return command(["ip", "netns", "exec", this.namespace(place), ...argv], input);
  }

  /** Adds a rule that drops packets to or from the container on their way through the router. */
  drop(...matches: readonly string[]): void {
    for (const match of matches) this.#nft("router", `add rule inet chaos cut ${match} drop`);
  }

  /** Takes every rule of `drop` back. */
  undrop(): void {
    this.#nft("router", "flush chain inet chaos cut");
  }

  /** Takes the cable between the router and the container out, or puts it back. */
  setCable(isUp: boolean): void {
    this.#ip("router", `link set to-container ${isUp ? "up" : "down"}`);
  }

  /** Takes a firewall away, to prove that a scan would find what listens behind it. */
  removeFirewall(place: "container" | "router"): void {
    this.#nft(place, `delete table inet ${place === "container" ? "fw" : "fabric"}`);
  }

  /** Puts a firewall up. */
  addFirewall(place: "container" | "router"): void {
    this.#nft(place, place === "container" ? INNER_FIREWALL : OUTER_FIREWALL);
  }

  /** Sets a number of the network's in a namespace, by its path below `/proc/sys/net`. */
  setKernel(place: Place, path: string, value: number): void {
    this.run(place, ["tee", `/proc/sys/net/${path}`], String(value));
  }

  /** How many packets the container's own firewall dropped on their way in. */
  droppedIn(): number {
    const text = this.run("container", ["nft", "list", "counter", "inet", "fw", "dropped_in"]);
    return Number(/packets (\d+)/.exec(text)?.[1] ?? 0);
  }

  /** Kills what still runs inside and removes the namespaces. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    process.off("exit", this.#onExit);
    for (const place of PLACES) removeNamespace(this.namespace(place));
  }

  #build(): void {
    for (const place of PLACES) {
      command(["ip", "netns", "add", this.namespace(place)]);
      this.#ip(place, "link set lo up");
    }
    HOSTS.forEach((host, index) => {
      const net = `10.71.${index + 1}`;
      const port = `to-${host}`;
      this.#ip(host, `link add eth0 type veth peer name ${port} netns ${this.namespace("router")}`);
      this.#ip("router", `addr add ${net}.1/24 dev ${port}\nlink set ${port} up`);
      this.#ip(host, `addr add ${net}.2/24 dev eth0\nlink set eth0 up\nroute add default via ${net}.1`);
    });
    this.setKernel("router", "ipv4/ip_forward", 1);
    this.setKernel("router", "ipv4/conf/all/rp_filter", 0);
    // Closed UDP ports say so at once and not one in a second, or a scan takes minutes where no firewall is.
    this.setKernel("container", "ipv4/icmp_ratelimit", 0);
    this.#nft("router", "add table inet chaos");
    this.#nft("router", "add chain inet chaos cut { type filter hook forward priority -10; }");
    this.addFirewall("container");
    this.addFirewall("router");
  }

  #ip(place: Place, lines: string): void {
    command(["ip", "-n", this.namespace(place), "-batch", "-"], `${lines}\n`);
  }

  #nft(place: Place, rules: string): void {
    this.run(place, ["nft", "-f", "-"], `${rules}\n`);
  }
}

/** Inside the container: only answers come in, and only the gateway can be called. */
const INNER_FIREWALL = `table inet fw {
  counter dropped_in { }
  counter dropped_out { }
  chain in { type filter hook input priority 0; policy drop;
    iif lo accept; ct state established,related accept; counter name dropped_in; }
  chain out { type filter hook output priority 0; policy drop;
    oif lo accept; ct state established,related accept
    ip daddr ${ADDRESSES.gateway} tcp dport ${GATEWAY_PORT} accept; counter name dropped_out; }
}`;

/** In the router: the same, out of the container's reach. */
const OUTER_FIREWALL = `table inet fabric {
  chain forward { type filter hook forward priority 0; policy accept;
    oifname "to-container" ct state new counter drop
    iifname "to-container" ct state new ip daddr ${ADDRESSES.gateway} tcp dport ${GATEWAY_PORT} accept
    iifname "to-container" ct state new counter drop
  }
}`;

/** A namespace lives for as long as a process is in it: those inside are the lab's own and end with it. */
function removeNamespace(name: string): void {
  const pids = spawnSync(binary("ip"), ["netns", "pids", name], { encoding: "utf8" }).stdout ?? "";
  for (const pid of pids.split("\n").filter((line) => line !== "")) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It ended by itself.
    }
  }
  spawnSync(binary("ip"), ["netns", "del", name], { timeout: COMMAND_MS_MAX });
}

/** Removes the labs of processes that were killed before they could do it themselves. */
function removeLost(): void {
  for (const line of command(["ip", "netns", "list"]).split("\n")) {
    const match = NAME_PATTERN.exec(line);
    if (match !== null && !existsSync(`/proc/${match[1]}`)) removeNamespace(match[0]);
  }
}
