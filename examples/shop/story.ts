/**
 * The story of the demo, in five steps: learn, alert, prevent, one host for one image, and the policy as a file.
 *
 * It uses what every user has: traffic, the commands of `netwall-gateway`, and the admin API. Each sentence that it
 * tells was checked before.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseDocument } from "yaml";
import type { NetwallEvent } from "../../lib/events/event.ts";
import type { EdgeRecord } from "../../lib/policy/record.ts";
import type { GroupView } from "../../lib/admin/control.ts";
import type { Tunnel } from "./client.ts";
import { redis, type RedisClient } from "./redis.ts";
import { containerId, GROUPS, type Shop } from "./shop.ts";
import { StoryFault, type Teller, until } from "./teller.ts";
import { eachOperation, IMAGES, NAMESPACE, type Part, type ShopEdge, type Visit, visits } from "./traffic.ts";

/** Seconds in the place of hours and days. */
export const DEMO_SETTINGS: readonly string[] = [
  ...[
    "--learning-time",
    "3s",
    "--learning-requests",
    "20",
    "--learning-quiet",
    "2s",
    "--learning-unseen",
    "0.2",
  ],
];

/** Models are stable after that, or the demo has failed. */
const LEARN_MS_MAX = 40_000;
const SEED = 2026;

interface Stage {
  readonly shop: Shop;
  readonly teller: Teller;
  /** For the policy file. */
  readonly folder: string;
}

/** Tells all of it. @throws {StoryFault} At the first thing that does not hold. */
export async function tellStory(stage: Stage): Promise<void> {
  await learn(stage);
  const live = await alert(stage);
  await prevent(stage, live);
  await oneHost(stage);
  await policyAsFile(stage);
}

/** Step 1: what is normal is learned from real traffic. */
async function learn({ shop, teller }: Stage): Promise<void> {
  teller.step("1. The gateway learns what is normal");
  teller.say("Visitors read the catalogue, log in and order; the mode of all groups is learn.");
  const traffic = visits(SEED);
  let requests = 0;
  const faults = new Map<number, number>();
  const groups = await until(
    "All groups that have traffic go to alert",
    async () => {
      for (const [status, count] of await shop.traffic(traffic, 50)) {
        faults.set(status, (faults.get(status) ?? 0) + count);
      }
      requests += 50;
      return await items<GroupView>(shop, "groups");
    },
    (found) =>
      found.length === 4 &&
      found.every(({ modes, learning }) =>
        learning.length > 0 && learning.every(({ direction }) => modes[direction].mode === "alert")
      ),
    LEARN_MS_MAX,
  );
  teller.check(`${requests} requests of visitors, none answered with an error`, faults.size === 0, [
    ...faults,
  ]);
  const edges = await items<EdgeRecord>(shop, "edges");
  const [found, truth] = [edges.map(edgeLine).sort(), shop.edges.map(trueLine).sort()];
  teller.check("it knows who talks to whom, and nothing more:", `${found}` === `${truth}`, { found, truth });
  for (const line of found) teller.say(`    ${line}`);
  const states = new Set(edges.map(({ state }) => state));
  teller.check("all of it is learned", states.size === 1 && states.has("learned"), [...states]);
  // A direction that nothing came in is watched as well, but there is no model of it.
  const models = groups.flatMap(({ learning }) => learning).filter(({ samples }) => samples > 0);
  teller.check(
    `the ${models.length} models are stable, so their groups went from learn to alert by themselves`,
    models.every(({ state }) => state === "active"),
    models,
  );
  teller.check(
    "where nothing ever came they are watched as well: the first that comes is an event",
    groups.every(({ modes }) => Object.values(modes).every(({ mode }) => mode === "alert")),
    groups.map(({ modes }) => modes),
  );
  await quoteCommand({ shop, teller }, ["groups"]);
}

/** Step 2: what was never seen is let through, and told of. */
async function alert({ shop, teller }: Stage): Promise<RedisClient> {
  teller.step("2. Somebody has a shell in front-end, and connects straight to user-db");
  const live = redis(open(await shop.tunnel("front-end", "user-db")).socket);
  const size = await live.ask("DBSIZE");
  teller.check(`it works: the database answers that it holds ${size} keys`, Number(size) > 0, size);
  for (let again = 0; again < 2; again++) {
    const tunnel = open(await shop.tunnel("front-end", "user-db"));
    tunnel.socket.destroy();
  }
  const event = await untilEvent(
    shop,
    (each) =>
      each.source?.name === GROUPS["front-end"] && each.destination?.name === GROUPS["user-db"] &&
      each.count === 3,
  );
  checkEvent(teller, event, { effect: "alert", verdict: "audited", direction: "east-west" });
  const { source, destination } = event;
  teller.check(
    `who: container ${source?.claimedContainerName} (${source?.claimedContainerId?.slice(0, 12)}) on host ` +
      `${source?.claimedHostname}, image ${source?.image}, namespace ${source?.namespace}`,
    source?.claimedContainerName === "shop-front-end-1" &&
      source.claimedContainerId === containerId("front-end") &&
      source.claimedHostname !== undefined && source.image === IMAGES["front-end"] &&
      source.namespace === NAMESPACE,
    source,
  );
  teller.check(
    `to what: ${destination?.service} of ${destination?.name}, port ${destination?.port}`,
    destination?.service === "user-db" && destination.port === shop.dbPort,
    destination,
  );
  teller.check(
    `three connections are one event with the count 3, at ${new Date(event.time).toISOString()}`,
    event.firstTime <= event.time && Math.abs(Date.now() - event.time) < 60_000,
    event,
  );
  await quoteCommand({ shop, teller }, ["events", "--limit", "1", "--long"]);
  return live;
}

/** Step 3: the operator forbids it. */
async function prevent({ shop, teller }: Stage, live: RedisClient): Promise<void> {
  teller.step("3. The operator sets user-db to prevent");
  teller.check("until now the first connection is still open", await live.ask("PING") === "PONG", "closed");
  await quoteCommand({ shop, teller }, ["policy", "mode", GROUPS["user-db"], "prevent"]);
  const cut = await within(live.closed, 10_000);
  teller.check("the connection that was open is cut", cut, "still open after 10 seconds");
  const again = await shop.tunnel("front-end", "user-db");
  teller.check(
    "the same connection is refused",
    again.kind === "refused" && again.status === 403,
    shown(again),
  );
  if (again.kind === "refused") teller.quote(again.reason);
  const event = await untilEvent(
    shop,
    (each) =>
      each.source?.name === GROUPS["front-end"] && each.destination?.name === GROUPS["user-db"] &&
      each.effect === "prevent",
  );
  checkEvent(teller, event, { effect: "prevent", verdict: "dropped", direction: "east-west" });
  const faults = await shop.traffic(visits(SEED + 1), 60);
  teller.check("what was learned still works: 60 more requests, no error", faults.size === 0, [...faults]);
}

/** Step 4: a host outside that nobody knows, and then one image may call it. */
async function oneHost({ shop, teller }: Stage): Promise<void> {
  const unknown = shop.outside.unknown as `${string}:${number}`;
  teller.step(`4. payment calls ${unknown}, a host that is not in its model`);
  teller.say("(It is a stand-in for a host on the Internet, and so is the verifier.)");
  const isIt = (effect: string) => (each: NetwallEvent): boolean =>
    each.source?.name === GROUPS["payment"] && each.effect === effect &&
    `${each.destination?.host}:${each.destination?.port}` === unknown;
  open(await shop.tunnel("payment", unknown)).socket.destroy();
  const alerted = await untilEvent(shop, isIt("alert"));
  checkEvent(teller, alerted, { effect: "alert", verdict: "audited", direction: "egress" });
  for (const part of ["payment", "front-end"] as const) {
    await quoteCommand({ shop, teller }, [
      "policy",
      "mode",
      GROUPS[part],
      "prevent",
      "--direction",
      "egress",
    ]);
  }
  const refused = await shop.tunnel("payment", unknown);
  teller.check(
    "payment is refused now",
    refused.kind === "refused" && refused.status === 403,
    shown(refused),
  );
  const event = await untilEvent(shop, isIt("prevent"));
  checkEvent(teller, event, { effect: "prevent", verdict: "dropped", direction: "egress" });
  const order = await shop.visit(orderOf());
  teller.check("orders are still paid: the verifier is known", order.status === 201, order);

  const allowed = await shop.api("POST", `events/${event.id}/allow`);
  teller.check("the operator allows it from that event", allowed.status < 300, allowed);
  teller.quote(allowed.body);
  const passed = await shop.tunnel("payment", unknown);
  teller.check(
    `the image ${IMAGES.payment} of ${NAMESPACE} may call it`,
    passed.kind === "open",
    shown(passed),
  );
  if (passed.kind === "open") passed.socket.destroy();
  const other = await shop.tunnel("front-end", unknown);
  teller.check("no other image may", other.kind === "refused" && other.status === 403, shown(other));
}

/** Step 5: the policy goes out as a file, is edited, tried on what was recorded, and put in force here and elsewhere. */
async function policyAsFile({ shop, teller, folder }: Stage): Promise<void> {
  teller.step("5. The policy is a file");
  const file = join(folder, "policy.yaml");
  await quoteCommand({ shop, teller }, ["policy", "export", "--output", file]);
  const exported = readFileSync(file, "utf8");
  teller.check("it holds the modes, the rule and all that was learned", /^model:/m.test(exported), exported);
  editByHand(file, exported);
  teller.say("Edited by hand: a rule that visitors may not read customers.");
  const diff = await quoteCommand({ shop, teller }, ["policy", "diff", file]);
  teller.check("the difference is that rule", diff.includes("no-customers"), diff);
  const tried = await quoteCommand({ shop, teller }, ["policy", "simulate", file]);
  teller.check(
    "tried on the traffic of the last hours: it would have blocked requests such as these",
    /\/users\/\d+/.test(tried),
    tried,
  );
  const before = await shop.visit(customerOf(7));
  teller.check("nothing is blocked yet", before.status === 200, before);
  await quoteCommand({ shop, teller }, ["policy", "apply", file, "--comment", "Visitors read no customers"]);
  const verdicts = await allVerdicts(shop);
  teller.check("now it is", verdicts.includes("GET /users 403"), verdicts);

  teller.say(
    "The gateway is thrown away, and a fresh one takes its place: it has the key, and knows nothing.",
  );
  await shop.replaceGateway();
  await quoteCommand({ shop, teller }, ["policy", "apply", file]);
  const fresh = await allVerdicts(shop);
  teller.check(
    `it gives the same ${verdicts.length} verdicts as the old one`,
    `${fresh}` === `${verdicts}`,
    { fresh, verdicts },
  );
  for (const line of fresh) teller.say(`    ${line}`);
}

/** What a person would do with an editor: a rule more, in front of the others. */
function editByHand(file: string, text: string): void {
  const document = parseDocument(text);
  const rule = {
    id: "no-customers",
    comment: "Visitors read no customers",
    direction: "north-south",
    destination: { namespace: NAMESPACE, image: IMAGES["front-end"].split(":")[0] },
    http: { methods: ["GET"], paths: ["/users/{int}"] },
    effect: "prevent",
  };
  const rules = document.getIn(["spec", "rules"], false) as { items: unknown[] } | undefined;
  if (rules === undefined) document.setIn(["spec", "rules"], [rule]);
  else rules.items.unshift(document.createNode(rule));
  writeFileSync(file, document.toString({ lineWidth: 0 }));
}

/** One line for each thing that the policy has a word on. */
async function allVerdicts(shop: Shop): Promise<string[]> {
  const lines: string[] = [];
  for (const visit of eachOperation(SEED)) {
    const { status } = await shop.visit(visit);
    lines.push(`${visit.method} /${visit.path.split("/")[1]} ${status}`);
  }
  const unknown = shop.outside.unknown as `${string}:${number}`;
  const tries: [Part, Part | `${string}:${number}`][] = [
    ...[["front-end", "user-db"], ["payment", "user-db"], ["user", "user-db"]] as [Part, Part][],
    ...(["payment", "front-end"] as const).map((part): [Part, `${string}:${number}`] => [part, unknown]),
  ];
  for (const [from, to] of tries) {
    const tunnel = await shop.tunnel(from, to);
    if (tunnel.kind === "open") tunnel.socket.destroy();
    lines.push(`${from} → ${to} ${tunnel.kind === "open" ? "passes" : `refused ${tunnel.status}`}`);
  }
  return lines;
}

/** Runs a command as an operator types it, and shows what it says. @throws {StoryFault} When it fails. */
async function quoteCommand(
  { shop, teller }: Pick<Stage, "shop" | "teller">,
  args: string[],
): Promise<string> {
  teller.say(`$ netwall-gateway ${args.map((word) => word.includes(" ") ? `'${word}'` : word).join(" ")}`);
  const { code, stdout, stderr } = await shop.command(args);
  if (code !== 0) {
    throw new StoryFault(`netwall-gateway ${args.join(" ")} ended with ${code}: ${stderr}${stdout}`);
  }
  teller.quote(stdout === "" ? stderr : stdout);
  return stdout;
}

async function items<T>(shop: Shop, path: string): Promise<T[]> {
  const { status, body } = await shop.api("GET", path);
  if (status !== 200) throw new StoryFault(`The admin API answers ${status} for ${path}: ${body}`);
  return (JSON.parse(body) as { items: T[] }).items;
}

function untilEvent(shop: Shop, wanted: (event: NetwallEvent) => boolean): Promise<NetwallEvent> {
  let found: NetwallEvent | undefined;
  const seen = async (): Promise<NetwallEvent[]> => {
    const events = await items<NetwallEvent>(shop, "events?limit=100");
    found = events.find(wanted);
    return events;
  };
  return until("An event tells of it", seen, () => found !== undefined, 10_000).then(() => found!);
}

function checkEvent(
  teller: Teller,
  event: NetwallEvent,
  want: Pick<NetwallEvent, "effect" | "verdict"> & { direction: string },
): void {
  teller.check(
    `an event says: ${want.effect}, ${want.verdict}, ${want.direction}, by the mode alone (rule implicit), ` +
      `of an unknown ${event.deviation?.kind}`,
    event.effect === want.effect && event.verdict === want.verdict && event.direction === want.direction &&
      event.type === "unexpectedConnection" && event.rule.kind === "implicit" &&
      event.deviation?.kind === "edge",
    event,
  );
}

const edgeLine = (edge: EdgeRecord): string =>
  `${edge.source} → ${
    edge.host === "" ? `${edge.destination} (${edge.service})` : `${edge.host}:${edge.port}`
  }, ` +
  `${edge.direction} ${edge.protocol}`;

const trueLine = (edge: ShopEdge): string =>
  `${edge.source} → ${edge.outside === "" ? `${edge.destination} (${edge.service})` : edge.outside}, ` +
  `${edge.direction} ${edge.protocol}`;

const orderOf = (): Visit => eachOperation(SEED).find(({ path }) => path === "/orders")!;
const customerOf = (id: number): Visit => ({ address: "198.51.100.7", method: "GET", path: `/users/${id}` });

function open(tunnel: Tunnel): Extract<Tunnel, { kind: "open" }> {
  if (tunnel.kind === "open") return tunnel;
  throw new StoryFault(`A connection that should work is refused with ${tunnel.status}: ${tunnel.reason}`);
}

const shown = (tunnel: Tunnel): unknown => tunnel.kind === "open" ? "an open connection" : tunnel;

async function within(wanted: Promise<void>, timeoutMs: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), timeoutMs));
  try {
    return await Promise.race([wanted.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
