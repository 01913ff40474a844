/**
 * What goes wrong between an agent and its gateway, and what a wall must make of each.
 *
 * A fault that nobody can tell from a slow line must lose nothing while it is short. One that lasts must be noticed at
 * both ends within the keepalive's 25 s, be told truthfully to everyone who waits, and leave nothing behind.
 *
 * @module
 */
import type { ProcessGroup } from "../support/processes.ts";
import { delayLine } from "./delay_line.ts";
import { ADDRESSES, type Lab } from "./lab.ts";

/** What undoes a fault, or why there is none. */
export type Injected = (() => void) | { readonly reason: string };

/** One thing that goes wrong. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /**
   * How long it lasts: until both ends have noticed, or a time in ms. What happens in one moment lasts until it is
   * noticed.
   */
  readonly lasts: "until noticed" | number;
  /** Whether the link has to end. When not, nothing at all may fail. */
  readonly endsLink: boolean;
  /** Whether it belongs to the short form. @default false */
  readonly quick?: boolean;
  /** Whether whole visits must come to a good end while it lasts. @default false */
  readonly carries?: boolean;
  /** Does it, and gives what undoes it. Where it cannot be done here, the reason. */
  inject(lab: Lab, group: ProcessGroup): Injected | Promise<Injected>;
}

/** How long traffic goes on over a bad line. */
const BAD_LINE_MS = 12_000;

const FROM_CONTAINER = `iifname "to-container"`;
const TO_CONTAINER = `oifname "to-container"`;

/** Whether a connection may be learned from the middle of it. */
const LOOSE = "netfilter/nf_conntrack_tcp_loose";

/** Drops what the connection tracking of the router does not know, and never learns in the middle of a connection. */
function forgetForGood(lab: Lab): () => void {
  lab.setKernel("router", LOOSE, 0);
  // Visitors' own connections stay whole: a reset that is lost on their way to the gateway is nobody's to mend.
  lab.drop(`${FROM_CONTAINER} ct state invalid`, `${TO_CONTAINER} ct state invalid`);
  lab.run("router", ["conntrack", "-F"]);
  return () => {
    lab.undrop();
    lab.setKernel("router", LOOSE, 1);
  };
}

function blackHole(name: string, where: string, matches: readonly string[], quick: boolean): Scenario {
  return {
    name,
    title: `black hole ${where}`,
    lasts: "until noticed",
    endsLink: true,
    quick,
    inject(lab): () => void {
      lab.drop(...matches);
      return () => lab.undrop();
    },
  };
}

/** In the order in which they run. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "blip",
    title: "cable out for 3 s",
    lasts: 3_000,
    endsLink: false,
    quick: true,
    inject(lab): () => void {
      lab.setCable(false);
      return () => lab.setCable(true);
    },
  },
  {
    name: "cut",
    title: "cable out until noticed",
    lasts: "until noticed",
    endsLink: true,
    quick: true,
    inject(lab): () => void {
      lab.setCable(false);
      return () => lab.setCable(true);
    },
  },
  blackHole("hole", "both ways", [FROM_CONTAINER, TO_CONTAINER], false),
  blackHole("hole-up", "agent to gateway", [FROM_CONTAINER], true),
  blackHole("hole-down", "gateway to agent", [TO_CONTAINER], false),
  {
    name: "reset",
    title: "sockets reset at both ends",
    lasts: "until noticed",
    endsLink: true,
    quick: true,
    inject(lab): () => void {
      lab.run("container", ["ss", "-K", "dst", ADDRESSES.gateway]);
      lab.run("gateway", ["ss", "-K", "dst", ADDRESSES.container]);
      return () => {};
    },
  },
  {
    name: "nat",
    title: "router forgets, learns again",
    lasts: BAD_LINE_MS,
    endsLink: false,
    inject(lab): () => void {
      lab.run("router", ["conntrack", "-F"]);
      return () => {};
    },
  },
  {
    name: "nat-strict",
    title: "router forgets for good",
    lasts: "until noticed",
    endsLink: true,
    quick: true,
    inject: forgetForGood,
  },
  {
    name: "delay",
    title: "50 ms delay, 1 % loss",
    lasts: BAD_LINE_MS,
    endsLink: false,
    carries: true,
    inject: (lab, group) => delayLine(lab, group, { roundTripMs: 50, lossPercent: 1 }),
  },
  {
    name: "narrow",
    title: "20 Mbit/s",
    lasts: BAD_LINE_MS,
    endsLink: false,
    carries: true,
    inject(lab): () => void {
      // A queue of 50 ms, as lines of that kind have.
      const shape = ["root", "tbf", "rate", "20mbit", "burst", "32kb", "latency", "50ms"];
      lab.run("router", ["tc", "qdisc", "add", "dev", "to-container", ...shape]);
      lab.run("container", ["tc", "qdisc", "add", "dev", "eth0", ...shape]);
      return () => {
        lab.run("router", ["tc", "qdisc", "del", "dev", "to-container", "root"]);
        lab.run("container", ["tc", "qdisc", "del", "dev", "eth0", "root"]);
      };
    },
  },
];
