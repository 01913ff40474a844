/**
 * A wall where everything that strangers can name is named by an enemy of who looks at the page.
 *
 * What comes over a real visitor's connection, a real link of an agent and the real admin API is sent as hostile as
 * each of them lets it through.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { dialLink } from "../../lib/link/dial.ts";
import { MemoryBudget } from "../../lib/mux/budget.ts";
import { Session } from "../../lib/mux/session.ts";
import { encodeFields } from "../../lib/wire/head.ts";
import { LINK_PATH } from "../../lib/config/addresses.ts";
import { mint } from "../../lib/admin/token_commands.ts";
import { Operator } from "../support/firewall_wall.ts";
import type { ProcessGroup, Runtime } from "../support/processes.ts";
import { type PageGateway, startPageGateway } from "./page_rig.ts";
import { get, request } from "./raw.ts";
import { startAgent } from "./wall.ts";

/** Each would be seen, run or break something where a text is taken for anything else. */
export const HOSTILE: readonly string[] = [
  "<img src=x onerror=alert(1)>",
  '"><script>alert(1)</script>',
  "javascript:alert(1)",
  "{{7*7}}",
  "${alert(1)}",
  "safe\u202egnp.exe",
  "ad\u200bmin",
  "W".repeat(1_000),
  "🧦👩‍👩‍👧",
  "__proto__",
  "constructor",
  "</style><style>*{display:none}</style>",
  "<iframe srcdoc='<script>alert(1)</script>'>",
  "%3Csvg%20onload=alert(1)%3E",
];

/** What every walk must have met: else it proves nothing. */
export const MARKUP = HOSTILE[0]!;

/** Visible ASCII, as in images and names of containers, no longer than so much. */
const ascii = (text: string, charsMax: number): string =>
  text.replaceAll(" ", "/").replaceAll(/[^\x21-\x7e]/g, "?").slice(0, charsMax);
/** UTF-8 in the place of characters, as a header field takes it. */
const octets = (text: string): string => Buffer.from(text, "utf8").toString("latin1");

const NAMESPACE = "constructor";
/** Of the service behind `web`, whose name says what it would like to be. */
const WEB_IMAGE = ascii(MARKUP, 400);
const WEB_GROUP = `${NAMESPACE}/${WEB_IMAGE}`;

export interface HostileWall {
  readonly gateway: PageGateway;
  readonly operator: Operator;
  /** Answers of visitors' requests by what they got. */
  readonly statuses: ReadonlyMap<number, number>;
  close(): void;
}

/** Starts it, and sends all there is to send. */
export async function startHostileWall(processes: ProcessGroup, runtime: Runtime): Promise<HostileWall> {
  const target = await startTarget();
  const gateway = await startPageGateway(processes, runtime, {
    args: [
      "--route",
      "*=web",
      "--route",
      "constructor=constructor",
      "--allow-egress",
      "*:80",
      "--connect-timeout",
      "1s",
    ],
  });
  const operator = new Operator(gateway);
  const { port } = target.address() as AddressInfo;
  const token = await mintHostile(gateway, "web-1", WEB_IMAGE);
  await startAgent(processes, "bun", gateway, {
    args: ["--serve", `web=http://127.0.0.1:${port}`, "--container-name", ascii(MARKUP, 253)],
    token,
  });
  await makePolicies(operator);
  await operator.ask("PUT", "recording", { service: "web", minutes: 5 });
  const sessions = await Promise.all(HOSTILE.map((value, index) => linkHostile(gateway, value, index)));
  const statuses = new Map<number, number>();
  for (const value of HOSTILE) await visit(gateway, value, statuses);
  for (const [index, session] of sessions.entries()) call(session, HOSTILE[index]!);
  // Over a limit, so that somebody is banned.
  for (let count = 0; count < 8; count++) await request(gateway.port, get("/", ["Host: constructor"]));
  // Who guesses is told of as well.
  for (const value of HOSTILE.slice(0, 3)) {
    await new Operator(gateway, ascii(value, 200)).ask("GET", "status");
  }
  return {
    ...{ gateway, operator, statuses },
    close(): void {
      for (const session of sessions) session.close("none", "The test is over");
      target.close();
      target.closeAllConnections();
    },
  };
}

/** A service that answers with what it was asked, as markup. */
function startTarget(): Promise<Server> {
  const server = createServer((incoming, outgoing) => {
    const chunks: Uint8Array[] = [];
    incoming.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    incoming.on("end", () => {
      outgoing.setHeader("content-type", "text/html; charset=utf-8");
      outgoing.setHeader("x-answer", octets(`${MARKUP}"><script>alert(1)</script>`));
      outgoing.setHeader("set-cookie", `a=${MARKUP}`);
      outgoing.setHeader("location", "javascript:alert(1)");
      outgoing.end(`<script>alert(1)</script>${MARKUP}${Buffer.concat(chunks).toString()}`);
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

function mintHostile({ data }: PageGateway, name: string, image: string): Promise<string> {
  const may = { serve: ["*"], reach: ["*"], egress: true };
  return mint({ data, name, namespace: NAMESPACE, image, ...may, ttlMs: 3_600_000 }, Date.now());
}

/** Rules, comments, networks, limits and a model, in a version of its own for each value. */
async function makePolicies(operator: Operator): Promise<void> {
  const rules = HOSTILE.map((value, index) => ({
    id: index === 0 ? "constructor" : `rule-${index}`,
    comment: value.slice(0, 512),
    source: index % 2 === 0 ? { namespace: NAMESPACE, image: ascii(value, 512).replaceAll(/[:@]/g, "") } : {},
    destination: { namespace: NAMESPACE, image: WEB_IMAGE },
    http: { paths: [`/by-rule/${ascii(value, 900).replaceAll(/[{}*?#\\%;/]/g, "")}x`] },
    effect: "alert",
  }));
  const edge = (service: string, operations: string[]): object => ({
    ...{ direction: "north-south", source: "internet", destination: WEB_GROUP, service, protocol: "http" },
    operations,
  });
  const document = {
    ...{ apiVersion: "netwall/v1", kind: "Policy" },
    metadata: { comment: MARKUP },
    spec: {
      defaultMode: "alert",
      networks: { constructor: ["203.0.113.0/24"] },
      rules,
      rateLimits: [{ id: "constructor", service: "constructor", requests: 5, banSeconds: 600 }],
    },
    model: { edges: [edge("web", ["GET /known"])] },
  };
  for (const value of HOSTILE) {
    document.metadata.comment = value.slice(0, 512);
    const path = `policy?comment=${encodeURIComponent(value.slice(0, 500))}`;
    const { status, body } = await operator.ask("PUT", path, document);
    if (status !== 200) throw new Error(`Cannot apply: ${status} ${JSON.stringify(body)}`);
  }
  await operator.ask("PUT", "policy/staged", document);
}

/** Links an agent that claims whatever it likes. */
async function linkHostile(gateway: PageGateway, value: string, index: number): Promise<Session> {
  const name = index === 0 ? "constructor" : `x${"-".repeat(20 * (index % 6))}${index}`;
  const token = await mintHostile(gateway, name, ascii(value, 512));
  const at = { kind: "tcp" as const, secure: false, host: "127.0.0.1", port: gateway.port, path: LINK_PATH };
  const link = await dialLink({ gateway: at, token });
  const claim = octets(value).slice(0, 255);
  const ready = Promise.withResolvers<void>();
  const session: Session = new Session(link, {
    ...{ role: "agent", streamsMax: 8, sessionWindowBytes: 1 << 20, budget: new MemoryBudget(8 << 20, true) },
    helloFields: [
      ...["services", index === 0 ? "constructor" : `svc-${index}`, "hostname", claim, "version", claim],
      ...["runtime", claim, "containerName", claim, "containerId", "c0ffee".repeat(8)],
    ],
    onReady: () => {
      const seen = ascii(value, 200);
      session.report(["wall", "broken", "listeners", "3", "exposed", seen, "fault", seen]);
    },
    onTaken: () => ready.resolve(),
    onOpen: (stream) => stream.reset("targetRefused", claim.slice(0, 200)),
    onGoAway: () => {},
    onClose: ({ message }) => ready.reject(new Error(`The link of ${name} ended: ${message}`)),
  });
  session.start();
  await ready.promise;
  return session;
}

/** Calls services that are not there, and hosts that cannot be. */
function call(session: Session, value: string): void {
  const ignore = (): void => {};
  const sink = { onHead: ignore, onData: ignore, onEnd: ignore, onDrain: ignore, onReset: ignore };
  const name = octets(value);
  session.openStream("tcp", name.slice(0, 63), encodeFields([]), true, sink);
  for (const host of [name.slice(0, 255), `${name.slice(0, 200)}.example`]) {
    session.openStream("egress", "", encodeFields(["host", host, "port", "80"]), true, sink);
  }
}

/** Requests with the value in one place after the other. */
async function visit(
  gateway: PageGateway,
  value: string,
  statuses: Map<number, number>,
): Promise<void> {
  const raw = octets(value);
  const inPath = raw.replaceAll(" ", "+");
  const host = "Host: web";
  const tries: [path: string, fields: string[], method?: string][] = [
    [`/${inPath}`, [host, `User-Agent: ${raw}`]],
    [`/${encodeURIComponent(value)}/${encodeURIComponent(value)}`, [host]],
    [`/?q=${inPath}&${encodeURIComponent(value)}=1`, [host, `Referer: ${raw}`]],
    ["/known", [host, `Content-Type: ${raw}`, `X-Hostile: ${raw}`, `Cookie: ${raw}`], "POST"],
    [`/by-rule/${ascii(value, 900).replaceAll(/[{}*?#\\%;/]/g, "")}x`, [host, `User-Agent: ${raw}`]],
    ["/known", [host, `User-Agent: ${raw}`], value.replaceAll(/[^\w$'*+.^`|~!#&%-]/g, "").slice(0, 60)],
    ["/known", [`Host: ${raw.replaceAll(/[ <>"{}/\\:]/g, "").slice(0, 250)}`]],
  ];
  for (const [path, fields, method] of tries) {
    const body = method === "POST" ? value : "";
    const length = `Content-Length: ${Buffer.byteLength(body)}`;
    const head = get(path, [...fields, length, "Connection: close"], method || "GET");
    const { status } = await request(gateway.port, head + octets(body));
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
}
