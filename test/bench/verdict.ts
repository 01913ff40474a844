/**
 * How long one verdict takes on a large policy and a large learned model.
 *
 *   bun test/bench/verdict.ts [VERDICTS]
 *   deno run -A test/bench/verdict.ts [VERDICTS]
 *
 * 10,000 rules, 10,000 learned edges. A thing of a few microseconds cannot be timed alone by a clock of one, so verdicts
 * are timed in small batches as well, by the clock and by the processor time of all threads: on a busy machine the clock
 * shows the other programs.
 *
 * @module
 */
import process from "node:process";
import { type ModelEdge, type PolicyDocument, policySchema } from "../../lib/policy/document.ts";
import { CompiledPolicy } from "../../lib/policy/engine.ts";
import { type Flow, groupOf, type Source } from "../../lib/policy/flow.ts";
import { Learner } from "../../lib/policy/learner.ts";

const RULES = 10_000;
const EDGES = 10_000;
const BATCH = 50;
const NOW_MS = Date.parse("2031-05-17T12:00:00Z");

function policy(): PolicyDocument {
  const rules = Array.from({ length: RULES }, (_, n) => {
    const source = [
      { namespace: `ns${n % 100}`, image: `img${n % 900}` },
      { namespace: `ns${n % 100}` },
      { cidr: `10.${n >> 8 & 255}.${n & 255}.0/24` },
      { network: `net${n % 200}` },
      {},
    ][n % 5]!;
    const destination = [
      { host: `h${n}.example.com`, ports: [443] },
      { host: `*.s${n}.example.com` },
      { cidr: `172.16.${n & 255}.0/24` },
      { namespace: `ns${n % 100}`, image: `img${n % 700}`, service: `s${n % 30}` },
      { namespace: `ns${n % 100}`, service: `s${n % 30}` },
    ][(n >> 1) % 5]!;
    const http = n % 2 === 0
      ? { http: { methods: ["GET", "POST"], paths: [`/api/v${n % 20}/{int}`, `/r${n}/**`] } }
      : {};
    return { id: `r${n}`, source, destination, ...http, effect: ["allow", "alert", "prevent"][n % 3] };
  });
  const networks = Object.fromEntries(
    Array.from(
      { length: 200 },
      (_, n) => [`net${n}`, [`192.${n}.0.0/16`, `2001:db8:${n.toString(16)}::/48`]],
    ),
  );
  return policySchema.parse({ apiVersion: "netwall/v1", kind: "Policy", spec: { networks, rules } });
}

function edges(): ModelEdge[] {
  return Array.from({ length: EDGES }, (_, n) => ({
    direction: "east-west" as const,
    source: `ns${n % 100}/img${n % 900}`,
    destination: `ns${n % 97}/img${n % 700}`,
    service: `s${n % 30}`,
    protocol: "http" as const,
    operations: ["GET /", "GET /users/{int}", "POST /orders application/json"],
    origin: "learned" as const,
  }));
}

/** Flows of all three directions: known ones, rules' ones, unknown ones, some with an odd path. */
function flows(): Flow[] {
  return Array.from({ length: 20_000 }, (_, n): Flow => {
    const group: Source = {
      kind: "group",
      group: groupOf(`ns${n % EDGES % 100}`, `img${n % EDGES % 900}`, ""),
    };
    const service = {
      kind: "service" as const,
      group: groupOf(`ns${n % EDGES % 97}`, `img${n % EDGES % 700}`, ""),
      service: `s${n % EDGES % 30}`,
    };
    const path = n % 50 === 0 ? `/api/..%2fr${n}/x` : n % 5 === 0 ? `/r${n}/x/y` : `/users/${n}`;
    const http = { method: "GET", host: "shop.example", path, contentType: "" };
    const address = n % 2 === 0
      ? `192.${n % 256}.${n >> 8 & 255}.7`
      : `2001:db8:${(n % 400).toString(16)}::${n.toString(16)}`;
    if (n % 4 === 0) {
      return {
        direction: "north-south",
        protocol: "http",
        source: { kind: "outside", address },
        destination: service,
        http,
      };
    }
    if (n % 4 === 1) {
      const host = n % 3 === 0
        ? `172.16.${n & 255}.9`
        : n % 3 === 1
        ? `h${n % RULES}.example.com`
        : `a.s${n % RULES}.example.com`;
      return {
        direction: "egress",
        protocol: "tcp",
        source: group,
        destination: { kind: "host", host, port: 443 },
      };
    }
    return { direction: "east-west", protocol: "http", source: group, destination: service, http };
  });
}

function main(): void {
  const verdicts = Number(process.argv[2] ?? 200_000);
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const document = policy();
  let start = performance.now();
  const compiled = new CompiledPolicy(document);
  const compileMs = performance.now() - start;
  const model = new Learner({
    timeMs: 0,
    requests: 1,
    quietMs: 0,
    unseenShareMax: 1,
    nowMs: () => NOW_MS,
    edgesPerGroupMax: EDGES,
  });
  model.replace(edges());
  const asked = flows();
  const reasons = new Map<string, number>();
  for (const flow of asked) {
    const { reason } = compiled.judge(flow, model, NOW_MS);
    reasons.set(reason.kind, (reasons.get(reason.kind) ?? 0) + 1);
  }
  const single: number[] = [];
  const batched: number[] = [];
  const cpu: number[] = [];
  for (let done = 0; done < verdicts; done += BATCH) {
    const at = done % asked.length;
    const used = process.cpuUsage();
    start = performance.now();
    for (let n = 0; n < BATCH; n += 1) compiled.judge(asked[(at + n) % asked.length]!, model, NOW_MS);
    batched.push((performance.now() - start) / BATCH * 1_000);
    cpu.push(process.cpuUsage(used).user / BATCH);
    const begun = process.hrtime.bigint();
    compiled.judge(asked[(at * 7 + 3) % asked.length]!, model, NOW_MS);
    single.push(Number(process.hrtime.bigint() - begun) / 1_000);
  }
  for (const list of [single, batched, cpu]) list.sort((a, b) => a - b);
  const share = (list: number[], part: number): string =>
    `${list[Math.min(list.length - 1, Math.floor(list.length * part))]!.toFixed(2)} µs`;
  say(`runtime        ${"bun" in process.versions ? "bun" : "deno"}`);
  say(`rules, edges   ${RULES}, ${EDGES}; made ready in ${compileMs.toFixed(0)} ms`);
  say(`reasons        ${[...reasons].map(([kind, count]) => `${kind} ${count}`).join(", ")}`);
  say(
    `batches of ${BATCH}  median ${share(batched, 0.5)}, p99 ${share(batched, 0.99)}, worst ${
      share(batched, 1)
    }`,
  );
  say(`processor time median ${share(cpu, 0.5)}, p99 ${share(cpu, 0.99)}, worst ${share(cpu, 1)} (batches)`);
  say(`single         median ${share(single, 0.5)}, p99 ${share(single, 0.99)}, worst ${share(single, 1)}`);
}

main();
