/**
 * Requests whose agent says that its target was not reached: they go to another agent, once, when nothing of them can
 * have been done; else the visitor is told, and the log says which agent it was.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { mint } from "../../lib/admin/token_commands.ts";
import { LINK_PATH } from "../../lib/config/addresses.ts";
import { dialLink } from "../../lib/link/dial.ts";
import type { ErrorName } from "../../lib/wire/errors.ts";
import { FrameType } from "../../lib/wire/frame.ts";
import { encodeFarewell } from "../../lib/wire/open.ts";
import { eventually } from "../e2e/wall.ts";
import { RawVisitor } from "../support/raw_http.ts";
import { ScriptedPeer } from "../support/scripted_peer.ts";
import { startWall, type Wall } from "../support/wall.ts";

/** What an agent does with a request. */
type Manner = (agent: FakeAgent, id: number) => void;

/** An agent that was asked, and what it was asked. */
interface FakeAgent {
  readonly name: string;
  readonly peer: ScriptedPeer;
  /** Ids of the streams that were opened on it. */
  readonly opens: number[];
}

let wall: Wall;
const agents: FakeAgent[] = [];
const visitors: RawVisitor[] = [];
afterEach(stop);

const answers: Manner = ({ name, peer }, id) =>
  void peer.head(id, 200, ["Content-Length", `${name.length}`], name, true);
const resets = (code: ErrorName): Manner => ({ peer }, id) =>
  void peer.frame(FrameType.reset, 0, id, encodeFarewell(code, `said ${code}`));

/** Starts a gateway, and an agent for each manner; the first that is asked has the first manner. */
async function start(...manners: Manner[]): Promise<void> {
  wall = await startWall({});
  let asked = 0;
  const known = { serve: ["web"], reach: [], egress: false, namespace: "default", image: "" };
  for (const index of manners.keys()) {
    const name = `box-${index}`;
    const token = await mint({ data: wall.data, name, ttlMs: 3_600_000, ...known }, Date.now());
    const address = {
      kind: "tcp" as const,
      secure: false,
      host: "127.0.0.1",
      port: wall.port,
      path: LINK_PATH,
    };
    const agent: FakeAgent = {
      name,
      peer: new ScriptedPeer(await dialLink({ gateway: address, token })),
      opens: [],
    };
    agent.peer.onFrame = ({ type, id }) => {
      if (type !== FrameType.open) return;
      agent.opens.push(id);
      manners[Math.min(asked++, manners.length - 1)]!(agent, id);
    };
    agents.push(agent);
    await agent.peer.frameOf(FrameType.hello);
  }
  await eventually(linked, (count) => count === manners.length);
}

/** Ends everything, for a test that starts more than once. */
async function stop(): Promise<void> {
  for (const visitor of visitors.splice(0)) visitor.close();
  for (const { peer } of agents.splice(0)) peer.close();
  await wall.close();
}

const linked = (): number => wall.log.filter((line) => line.includes('"message":"linked"')).length;

/** How often each agent was asked, in falling order. */
const asked = (): number[] => agents.map(({ opens }) => opens.length).sort((a, b) => b - a);

/** Sends a request and gives the status and the body of its answer. */
async function ask(text: string): Promise<[number | undefined, string | undefined]> {
  const visitor = new RawVisitor(wall.port).send(text);
  visitors.push(visitor);
  const [answer] = await visitor.answers(1);
  return [answer?.status, answer?.body];
}

const REQUESTS: readonly (readonly [name: string, text: string])[] = [
  ["GET", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["DELETE", "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["POST with a length of 0", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"],
  ["POST without a length", "POST / HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["PATCH", "PATCH / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"],
];
const BODIES: readonly (readonly [name: string, text: string])[] = [
  ["POST with a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"],
  [
    "POST with a body in chunks",
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
  ],
  ["PUT with a body", "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"],
  ["GET with a body", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"],
];

/** The lines of failed requests, as far as they matter here. */
function failures(): { agent: string; failure: string; headSent: boolean }[] {
  return wall.log.map((line) => JSON.parse(line)).filter(({ message }) => message === "not answered");
}

describe("a request that its target refused", () => {
  test.each([...REQUESTS])("goes to another agent: %s", async (_name, text) => {
    await start(resets("targetRefused"), answers);
    const [status, body] = await ask(text);
    expect([status, asked()]).toEqual([200, [1, 1]]);
    expect(agents.map(({ name }) => name).includes(body!)).toBe(true);
    expect(await wall.metric("netwall_retries_total")).toBe(1);
  });

  test.each([...REQUESTS])("is tried twice at most, and never twice on one link: %s", async (_name, text) => {
    await start(resets("targetRefused"), resets("targetRefused"), resets("targetRefused"));
    expect((await ask(text))[0]).toBe(502);
    expect(asked()).toEqual([1, 1, 0]);
    // Who is named is the one that was asked last.
    const [line] = failures();
    expect(line).toMatchObject({ failure: "connection_refused", headSent: false });
    const refused = agents.filter(({ opens }) => opens.length === 1).map(({ name }) => name);
    expect([failures().length, refused.includes(line!.agent)]).toEqual([1, true]);
  });

  test.each([...REQUESTS])("with one agent alone is told at once, with its name: %s", async (_name, text) => {
    await start(resets("targetRefused"));
    expect((await ask(text))[0]).toBe(502);
    expect(asked()).toEqual([1]);
    expect(failures()).toHaveLength(1);
    expect(failures()[0]).toMatchObject({ agent: "box-0", failure: "connection_refused" });
  });

  test.each([...BODIES])("and had a body is not sent again: %s", async (_name, text) => {
    await start(resets("targetRefused"), answers);
    expect((await ask(text))[0]).toBe(502);
    expect(asked()).toEqual([1, 0]);
    const agent = agents.find(({ opens }) => opens.length === 1)!.name;
    expect(failures()[0]).toMatchObject({ agent, failure: "connection_refused" });
    expect(await wall.metric("netwall_retries_total")).toBe(0);
  });

  test("and wanted another protocol goes to another agent", async () => {
    await start(resets("targetRefused"), ({ peer }, id) => {
      peer.head(id, 101, ["Connection", "Upgrade", "Upgrade", "x"], "", false, "Switching Protocols");
      peer.data(id, "hello");
    });
    const text = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    const visitor = new RawVisitor(wall.port).send(text);
    visitors.push(visitor);
    await visitor.until(() => visitor.text.includes("hello") || visitor.closed, () => visitor.text);
    expect(visitor.text).toMatch(/^HTTP\/1\.1 101 /);
    expect(asked()).toEqual([1, 1]);
  });
});

describe("what is tried again", () => {
  const get = REQUESTS[0]![1];
  const post = REQUESTS[2]![1];
  /** By what the first agent says: the status of a GET and of a POST without a body, when another would answer. */
  const cases: [ErrorName, number, number][] = [
    ["targetRefused", 200, 200],
    ["targetUnreachable", 200, 200],
    ["targetDns", 200, 200],
    ["refused", 200, 200],
    // The request may have been on its way to the target when these came about.
    ["draining", 200, 503],
    ["targetTimeout", 504, 504],
    ["targetReset", 502, 502],
    ["targetTls", 502, 502],
    ["badResponse", 502, 502],
    ["overloaded", 503, 503],
    ["cancelled", 502, 502],
    ["internal", 502, 502],
  ];
  test.each(cases)("after %s: GET %d, POST %d", async (code, toGet, toPost) => {
    const check = async (text: string, status: number): Promise<void> => {
      await start(resets(code), answers);
      expect((await ask(text))[0]).toBe(status);
      expect(asked()).toEqual(status === 200 ? [1, 1] : [1, 0]);
    };
    await check(get, toGet);
    await stop();
    await check(post, toPost);
  });
  test("was asked of codes of every kind, and of requests of every kind", () => {
    expect([cases.length, REQUESTS.length, BODIES.length]).toEqual([12, 5, 4]);
  });

  test("a GET whose link is lost, but no POST", async () => {
    await start(({ peer }) => peer.close(), answers);
    expect((await ask(get))[0]).toBe(200);
    expect(asked()).toEqual([1, 1]);
    await stop();
    await start(({ peer }) => peer.close(), answers);
    expect((await ask(post))[0]).toBe(502);
    expect(asked()).toEqual([1, 0]);
  });

  test("nothing of which an answer has begun", async () => {
    const begun: Manner[] = [
      (agent, id) => {
        agent.peer.head(id, 200, ["Content-Length", "9"], "half");
        resets("targetRefused")(agent, id);
      },
      (agent, id) => {
        agent.peer.head(id, 103, [], "", false, "Early Hints");
        resets("targetRefused")(agent, id);
      },
    ];
    for (const [index, manner] of begun.entries()) {
      await start(manner, answers);
      const visitor = new RawVisitor(wall.port).send(get);
      visitors.push(visitor);
      await visitor.until(
        () => visitor.closed || visitor.text.includes("HTTP/1.1 502"),
        () => visitor.text,
      );
      expect(asked()).toEqual([1, 0]);
      if (index === 0) expect(failures()[0]).toMatchObject({ headSent: true });
      expect(failures()).toHaveLength(1);
      if (index + 1 < begun.length) await stop();
    }
    expect(begun).toHaveLength(2);
  });
});
