/**
 * Hostile traffic and the metrics: nothing that a stranger writes becomes a label.
 *
 * @module
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { AttackRig } from "../support/attack_rig.ts";

const rig = new AttackRig();
beforeAll(() => rig.start({ gateway: { route: [], domain: "example.com" } }));
afterAll(() => rig.close());

async function series(): Promise<number> {
  const lines = (await rig.wall.admin("/metrics")).split("\n");
  return lines.filter((line) => line !== "" && !line.startsWith("#")).length;
}

test("random hosts, services, paths, methods and tokens leave no series behind", async () => {
  const send = async (round: number): Promise<void> => {
    const odd = `r${round}-${Math.random().toString(36).slice(2)}`;
    const texts = [
      `GET / HTTP/1.1\r\nHost: ${odd}.example.com\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: ${odd}.org\r\n\r\n`,
      `GET /${odd} HTTP/1.1\r\nHost: web.example.com\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: ${odd} ${odd}\r\n\r\n`,
      `GET /.netwall/link HTTP/1.1\r\nHost: ${odd}\r\nConnection: Upgrade\r\nUpgrade: ${odd}\r\nAuthorization: Bearer ${odd}\r\n\r\n`,
      `${odd.toUpperCase()} / HTTP/1.1\r\nHost: web.example.com\r\n\r\n`,
    ];
    for (const text of texts) await rig.attack(text);
    expect(texts).toHaveLength(6);
  };
  for (let round = 0; round < 3; round++) await send(round);
  const before = await series();
  for (let round = 3; round < 40; round++) await send(round);
  expect(await series()).toBe(before);
  expect(await rig.wall.admin("/metrics")).not.toMatch(/r\d+-/);
});

test("a service that nobody ever served is away at first, since its agent may be on its way back", async () => {
  const text = await rig.attack("GET / HTTP/1.1\r\nHost: nobody.example.com\r\n\r\n");
  expect(text).toMatch(/^HTTP\/1.1 503 /);
  expect(text).toMatch(/\r\nRetry-After: \d+\r\n/);
  expect(await rig.attack("GET / HTTP/1.1\r\nHost: nobody.org\r\n\r\n")).toMatch(/^HTTP\/1.1 404 /);
});

test("what operators were promised moves under traffic", async () => {
  const { wall } = rig;
  const before = await wall.metric("netwall_requests_total", 'service="web",status="2xx"');
  const visitor = rig.visit("POST / HTTP/1.1\r\nHost: web.example.com\r\nContent-Length: 3\r\n\r\nabc");
  await visitor.answers(1);
  for (let i = 0; await wall.metric("netwall_requests_total", 'service="web",status="2xx"') === before; i++) {
    if (i > 200) throw new Error("The request is not counted");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect(await wall.metric("netwall_body_bytes_total", 'direction="in"')).toBe(3);
  expect(await wall.metric("netwall_body_bytes_total", 'direction="out"')).toBeGreaterThan(3);
  expect(await wall.metric("netwall_request_duration_seconds_count", 'service="web"')).toBeGreaterThan(0);
  expect(await wall.metric("netwall_links")).toBe(1);
  expect(await wall.metric("netwall_credit_outstanding_bytes")).toBeGreaterThan(0);
  expect(await wall.metric("netwall_link_events_total", 'event="made"')).toBe(1);
  expect(await wall.metric("netwall_link_events_total", 'event="refused"')).toBe(0);
  expect(await wall.metric("netwall_faults_total")).toBe(0);
});

test("resets by code, and links that come back, are counted", async () => {
  const { wall } = rig;
  const left = rig.visit("POST / HTTP/1.1\r\nHost: web.example.com\r\nContent-Length: 30\r\n\r\nabc");
  await rig.target.until(() => rig.target.unread.some((text) => text.includes("abc")), () => "the body");
  left.close();
  const counted = async (name: string, labels: string): Promise<void> => {
    for (let i = 0; await wall.metric(name, labels) === 0; i++) {
      if (i > 200) throw new Error(`${name} ${labels} does not move`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  await counted("netwall_stream_resets_total", 'code="cancelled",by="gateway"');
  const again = await wall.link({ serve: [`web=http://127.0.0.1:${rig.target.port}`] });
  await counted("netwall_link_events_total", 'event="remade"');
  await again.stop(0);
  await counted("netwall_link_events_total", 'event="lost"');
});
