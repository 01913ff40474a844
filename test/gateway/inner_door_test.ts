/**
 * The inner door: requests of agents come in by it, and nobody else does, though the port is there for all to dial.
 *
 * @module
 */
import { afterEach, expect, test } from "bun:test";
import { FrameType } from "../../lib/wire/frame.ts";
import { claims, GatewayRig, type ScriptedAgent } from "../support/gateway_rig.ts";
import { ownLoopbackPorts, portsSince } from "../support/own_ports.ts";
import { RawVisitor } from "../support/raw_http.ts";

const REQUEST = "GET /secret HTTP/1.1\r\nHost: x\r\n\r\n";

let rig: GatewayRig;
const visitors: RawVisitor[] = [];
afterEach(async () => {
  for (const visitor of visitors.splice(0)) visitor.close();
  await rig.close();
});

/** A rig, the port of its inner door, and an agent that may call what there is. */
async function start(): Promise<{ port: number; shop: ScriptedAgent }> {
  const before = ownLoopbackPorts();
  rig = new GatewayRig();
  expect(portsSince(before)).toEqual([]);
  const port = await rig.inner.open();
  expect(portsSince(before)).toEqual([port]);
  await rig.agent({ services: ["web", "api"] });
  const shop = await rig.agent({ token: claims({ name: "shop-1", serve: [], reach: ["web", "api"] }) });
  return { port, shop };
}

function dial(port: number, text: string): RawVisitor {
  const visitor = new RawVisitor(port).send(text);
  visitors.push(visitor);
  return visitor;
}

test("a stranger on loopback gets no answer, whatever it asks for", async () => {
  const { port } = await start();
  let asked = 0;
  rig.onRequest = () => void asked++;
  const texts = [
    REQUEST,
    "GET /.netwall/link HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: anything\r\n\r\nearly",
    "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nExpect: anything\r\n\r\n",
    `${REQUEST}${REQUEST}`,
    "GET / HTTP/1.0\r\nForwarded: for=_shop-1\r\nX-Forwarded-For: _shop-1\r\n\r\n",
  ];
  for (const text of texts) expect([text, await dial(port, text).untilClosed()]).toEqual([text, ""]);
  expect(texts).toHaveLength(7);
  expect(asked).toBe(0);
});

test("a stranger beside a call gets no answer either, and the call goes on", async () => {
  const { port, shop } = await start();
  const seen: string[] = [];
  rig.onRequest = ({ incoming, outgoing }, { caller, service }) => {
    seen.push(`${caller.name} ${service} ${incoming.url}`);
    outgoing!.end("answer");
  };
  shop.call(2, "tcp", "web", [], "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n");
  await shop.untilText(2, "answer");
  for (let i = 0; i < 20; i++) expect(await dial(port, REQUEST).untilClosed()).toBe("");
  shop.peer.data(2, "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  await shop.peer.until(() => shop.text(2).split("answer").length === 3, () => shop.text(2));
  expect(seen).toEqual(["shop-1 web /1", "shop-1 web /2"]);
});

test("each connection belongs to its own caller and service, many at once", async () => {
  const { shop } = await start();
  const other = await rig.agent({ token: claims({ name: "shop-2", serve: [], reach: ["*"] }) });
  rig.onRequest = ({ incoming, outgoing }, { caller, service }) => {
    outgoing!.end(`${incoming.url} is ${caller.name} at ${service};`);
  };
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  for (let i = 0; i < 20; i++) {
    shop.call(2 + 2 * i, "tcp", i % 2 ? "web" : "api", [], get(`/s${i}`));
    other.call(2 + 2 * i, "tcp", i % 2 ? "api" : "web", [], get(`/o${i}`));
  }
  for (let i = 0; i < 20; i++) {
    await shop.untilText(2 + 2 * i, `/s${i} is shop-1 at ${i % 2 ? "web" : "api"};`);
    await other.untilText(2 + 2 * i, `/o${i} is shop-2 at ${i % 2 ? "api" : "web"};`);
  }
});

test("an answer that breaks off is a reset for the caller, never an end", async () => {
  const { shop } = await start();
  rig.onRequest = ({ incoming, outgoing }) => {
    outgoing!.writeHead(200, { "Content-Length": "100" });
    outgoing!.write("half", () => incoming.socket.resetAndDestroy());
  };
  shop.call(2, "tcp", "web", [], REQUEST);
  expect((await shop.resetOf(2)).code).toBe("targetReset");
  expect(shop.seen(2).some(({ type, flags }) => type === FrameType.end || flags === 1)).toBe(false);
});

test("without the listener a call fails as refused, and no later than that", async () => {
  const { shop } = await start();
  rig.inner.cut();
  await rig.inner.finish(0);
  shop.call(2, "tcp", "web", [], REQUEST);
  expect((await shop.resetOf(2)).code).toBe("targetRefused");
  expect(await rig.line({ failure: "targetRefused" })).toMatchObject({ service: "web", source: "shop-1" });
});
