/**
 * The routes of three public APIs, learned from traffic alone and held against their own templates.
 *
 * A template is split when its requests fall into more than one learned route, and two are merged when they fall into
 * the same one. The figures are printed; their bounds are what is reached, with a little room for another seed.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { type Flow, groupOf } from "../../lib/policy/flow.ts";
import { Learner } from "../../lib/policy/learner.ts";

const FIXTURES = join(import.meta.dirname ?? ".", "..", "fixtures", "openapi");
const REQUESTS_PER_OPERATION = 60;
const HELD_OUT_PER_OPERATION = 4;
const VISITORS = 400;
const SEEDS = [7, 2026];
/** More than a service gets by default: a whole API is learned here, with what is collapsed later. */
const ROUTES_MAX = 2_048;

/** Mulberry32: small numbers from a seed, so that a figure can be had again. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

type Make = (random: () => number) => string;
const LETTERS = "abcdefghijklmnopqrstuvwxyz";
const ALNUM = `${LETTERS}${LETTERS.toUpperCase()}0123456789`;

function pick(random: () => number, from: string): string {
  return from[Math.floor(random() * from.length)]!;
}

function characters(random: () => number, from: string, count: number): string {
  return Array.from({ length: count }, () => pick(random, from)).join("");
}

/** What a name of something looks like: two words, sometimes with a number. */
const slug: Make = (random) => {
  const word = (): string => characters(random, LETTERS, 3 + Math.floor(random() * 6));
  return random() < 0.3 ? word() : `${word()}-${word()}${random() < 0.2 ? Math.floor(random() * 20) : ""}`;
};
const int: Make = (random) => `${1 + Math.floor(random() ** 2 * 1e7)}`;
const sha: Make = (random) => characters(random, "0123456789abcdef", 40);
const pod: Make = (random) =>
  `${slug(random)}-${characters(random, "0123456789bcdf", 9)}-x${pick(random, ALNUM)}2k1`;
const stripeId: Make = (random) => `${characters(random, LETTERS, 3)}_${characters(random, ALNUM, 16)}`;

/** How the values of a parameter are made, by the API and the name of the parameter. */
function makerOf(api: string, name: string, template: string): Make {
  if (api === "stripe") return stripeId;
  if (api === "kubernetes") {
    return /\/pods\/|\/jobs\/|\/replicasets\//.test(template) && name === "name" ? pod : slug;
  }
  if (/sha|gist_id|ref$/.test(name)) return sha;
  if (/number|_id$|^id$/.test(name)) return int;
  return slug;
}

interface Fixture {
  readonly source: string;
  readonly licence: string;
  readonly routes: readonly string[];
}

interface Sent {
  readonly operation: string;
  readonly flow: Flow;
}

const API = groupOf("shop", "acme/api", "api-1");

function sendOne(api: string, operation: string, random: () => number, pools: Map<string, string[]>): Sent {
  const [method = "", template = ""] = operation.split(" ");
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const make = makerOf(api, name, template);
    // Names of owners and namespaces come again, numbers hardly.
    if (make !== slug) return make(random);
    const pool = pools.get(name) ?? Array.from({ length: 150 }, () => slug(random));
    pools.set(name, pool);
    return pool[Math.floor(random() ** 2 * pool.length)]!;
  });
  const hasBody = method === "POST" || method === "PUT" || method === "PATCH";
  return {
    operation,
    flow: {
      direction: "north-south",
      protocol: "http",
      source: { kind: "outside", address: "192.0.2.1" },
      destination: { kind: "service", group: API, service: "api" },
      http: { method, host: "api.example", path, contentType: hasBody ? "application/json" : "" },
    },
  };
}

interface Figures {
  readonly templates: number;
  readonly learned: number;
  readonly split: number;
  readonly merged: number;
  readonly state: string;
  readonly alarms: number;
  /** Routes that more than one template fell into. */
  readonly mergedExamples: readonly string[];
}

function measure(api: string, routes: readonly string[], seed: number, routesMax = ROUTES_MAX): Figures {
  const random = randomOf(seed);
  const pools = new Map<string, string[]>();
  const learner = new Learner({
    timeMs: 1,
    requests: 1,
    quietMs: 1,
    unseenShareMax: 1,
    routesPerServiceMax: routesMax,
    nowMs: () => 1_700_000_000_000,
  });
  const train = routes.flatMap((route) => Array.from({ length: REQUESTS_PER_OPERATION }, () => route));
  for (let at = train.length - 1; at > 0; at -= 1) {
    const other = Math.floor(random() * (at + 1));
    [train[at], train[other]] = [train[other]!, train[at]!];
  }
  for (const operation of train) {
    const visitor = `198.51.${Math.floor(random() * VISITORS / 200)}.${Math.floor(random() * 200)}`;
    learner.observe(sendOne(api, operation, random, pools).flow, "internet", visitor, true);
  }
  const routesOf = new Map<string, Set<string>>();
  const templatesOf = new Map<string, Set<string>>();
  let alarms = 0;
  for (const operation of routes.flatMap((it) => Array.from({ length: HELD_OUT_PER_OPERATION }, () => it))) {
    const { flow } = sendOne(api, operation, random, pools);
    if (learner.check(flow, "internet") !== undefined) {
      alarms += 1;
      continue;
    }
    const template = operation.split(" ")[1]!;
    const route = learner.routeOf(flow, "internet");
    routesOf.set(template, (routesOf.get(template) ?? new Set()).add(route));
    templatesOf.set(route, (templatesOf.get(route) ?? new Set()).add(template));
  }
  const split = [...routesOf].filter(([, learned]) => learned.size > 1);
  const merged = [...templatesOf].filter(([, templates]) => templates.size > 1);
  const progress = learner.progress().get(API.id)?.[0];
  return {
    templates: new Set(routes.map((it) => it.split(" ")[1])).size,
    learned: progress?.routes ?? 0,
    state: progress?.state ?? "learning",
    split: split.length,
    merged: new Set(merged.flatMap(([, templates]) => [...templates])).size,
    alarms: alarms / (routes.length * HELD_OUT_PER_OPERATION),
    mergedExamples: merged.slice(0, 6).map(([route, templates]) =>
      `${route}: ${[...templates].slice(0, 4).join(" ")}`
    ),
  };
}

/**
 * What is reached: `learned` counts names of things too that stayed words as they were asked for so seldom, or as they
 * alone were asked for something.
 */
const BOUNDS = [
  // Below /orgs/{org} there is one route, with 60 requests: too few to call its words names. Beside {owner}/{repo} some
  // names stay that alone were asked for something.
  { api: "github", learnedPerTemplate: 2.5, splitMax: 4, alarmsMax: 0.02 },
  { api: "kubernetes", learnedPerTemplate: 1.3, splitMax: 4, alarmsMax: 0.02 },
  // One identifier in twenty has no digit and few capitals: a word, until enough of them stand beside each other.
  { api: "stripe", learnedPerTemplate: 2.6, splitMax: 6, alarmsMax: 0.03 },
] as const;

describe("routes of public APIs", () => {
  for (const { api, learnedPerTemplate, splitMax, alarmsMax } of BOUNDS) {
    test(`${api}: learned as they are written`, () => {
      const fixture = JSON.parse(readFileSync(join(FIXTURES, `${api}.json`), "utf8")) as Fixture;
      expect(fixture.licence).toMatch(/^(?:MIT|Apache-2\.0)$/);
      expect(fixture.routes.length).toBeGreaterThan(150);
      for (const seed of SEEDS) {
        const figures = measure(api, fixture.routes, seed);
        const { templates, learned, split, merged, alarms } = figures;
        process.stdout.write(
          `${api} (seed ${seed}): ${templates} templates, ${learned} routes learned, ${split} templates split, ` +
            `${merged} merged, ${(alarms * 100).toFixed(2)} % of later requests unknown\n`,
        );
        expect(templates).toBeGreaterThan(90);
        expect(figures.mergedExamples).toEqual([]);
        expect(split).toBeLessThanOrEqual(splitMax);
        expect(learned).toBeLessThanOrEqual(templates * learnedPerTemplate);
        expect(alarms).toBeLessThanOrEqual(alarmsMax);
      }
    }, 60_000);
  }

  test("an API that is larger than the bound is overfull, and nothing of it is merged to make room", () => {
    const { routes } = JSON.parse(readFileSync(join(FIXTURES, "stripe.json"), "utf8")) as Fixture;
    const { learned, state, mergedExamples } = measure("stripe", routes, 7, 256);
    expect(learned).toBe(256);
    expect(state).toBe("saturated");
    expect(mergedExamples).toEqual([]);
  }, 60_000);
});
