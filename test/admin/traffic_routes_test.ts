/**
 * Tests of the routes of traffic: what viewers and operators see, recording, and sending a request once more.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { StoreError } from "../../lib/store/store.ts";
import type { RequestFacts } from "../../lib/traffic/kept_request.ts";
import { ANSWER, bodiesOf, requestFacts } from "../support/traffic_rig.ts";
import { type ApiRig, apiRig, attachmentOf, json } from "./api_rig.ts";

const S = "hunter2SECRETvalue";

const rigs: ApiRig[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.close();
});

async function newRig(): Promise<ApiRig> {
  const rig = await apiRig();
  rigs.push(rig);
  return rig;
}

/** A request with secrets wherever one can be, recorded or not. */
function add(rig: ApiRig, id: string, isRecorded: boolean, change: Partial<RequestFacts> = {}): void {
  const { log } = rig.traffic.watch;
  const request = JSON.stringify({ password: S, a: 1 });
  const bodies = isRecorded ? bodiesOf(log, { request, response: JSON.stringify({ token: S }) }) : undefined;
  const requestFields = [
    ...["Host", "shop.example", "Authorization", `Bearer ${S}`, "X-Plain", "p"],
    ...[
      "Content-Type",
      "application/json",
      "Content-Length",
      String(request.length),
      "Expect",
      "100-continue",
    ],
  ];
  log.add(requestFacts({
    ...{ id, method: "POST", target: "/a?b=1", hasBody: true, requestFields, bodies },
    ...{ responseFields: ["Content-Type", "application/json", "Set-Cookie", `sid=${S}`] },
    ...{ requestBytes: request.length, responseBytes: 30 },
    ...change,
  }));
}

async function statusAndText(answer: Promise<Response>): Promise<[number, string]> {
  const { status, text } = await answer.then(async (it) => ({ status: it.status, text: await it.text() }));
  return [status, text];
}

test("what is given to a query in another form is refused, and told", async () => {
  const rig = await newRig();
  const bad = [
    ...["traffic?window=2h", "traffic?window=", "traffic?x=1", `traffic?service=${"a".repeat(257)}`],
    ...[
      "requests?status=abc",
      "requests?status=0xx",
      "requests?status=20",
      "requests?limit=0",
      "requests?limit=1e3",
    ],
    ...["requests?before=-1", "requests?before=0", "requests?limit=1&limit=2", "recording?x=1"],
  ];
  for (const path of bad) expect([path, (await rig.ask(`/api/v1/${path}`)).status]).toEqual([path, 400]);
  expect(bad).toHaveLength(13);
  const bodies: unknown[] = [
    ...[{}, { service: "web" }, { service: "web", minutes: 0 }, { service: "web", minutes: 61 }],
    ...[{ service: "", minutes: 1 }, { service: "web", minutes: 1, bodyBytesMax: 0 }, {
      service: "web",
      minutes: 1.5,
    }],
    ...[
      { service: "web", minutes: 1, bodyBytesMax: (1 << 20) + 1 },
      { service: "web", minutes: 1, x: 1 },
      [],
      null,
    ],
  ];
  for (const body of bodies) expect((await rig.ask("/api/v1/recording", json("PUT", body))).status).toBe(422);
  expect(bodies).toHaveLength(11);
  for (
    const path of ["/api/v1/requests/none", "/api/v1/requests/%0a", `/api/v1/requests/${"a".repeat(65)}`]
  ) {
    expect((await rig.ask(path)).status).toBe(404);
    expect((await rig.ask(`${path}/replay`, { method: "POST" })).status).toBe(404);
  }
});

test("many services are told piece by piece, and it is the same answer", async () => {
  const rig = await newRig();
  const names = Array.from({ length: 70 }, (_, i) => `s-${String(i).padStart(2, "0")}`);
  for (const name of names) rig.traffic.watch.book.request(name, 200, 1, 1, 1);
  const answer = await rig.ask("/api/v1/traffic?window=24h");
  const told = await answer.json();
  expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "application/json"]);
  const whole = rig.traffic.watch.book.read("24h");
  expect(told).toEqual(JSON.parse(JSON.stringify(whole)));
  expect(told.services.map(({ service }: { service: string }) => service)).toEqual(names);
});

test("a gateway without it says so", async () => {
  const rig = await newRig();
  const { traffic: _traffic, ...options } = rig.options;
  const { adminApp } = await import("../../lib/admin/api.ts");
  const headers = { authorization: `Bearer ${rig.operator}` };
  expect((await adminApp(options).request("/api/v1/traffic", { headers })).status).toBe(404);
});

describe("one request", () => {
  test("shows heads to viewers and bodies to operators alone, and secrets to nobody", async () => {
    const rig = await newRig();
    add(rig, "plain", false, { target: `/a?token=${S}` });
    add(rig, "recorded", true, { target: `/a?token=${S}` });
    for (const token of [rig.viewer, rig.operator]) {
      for (const path of ["requests", "requests/plain", "requests/recorded"]) {
        const [status, text] = await statusAndText(rig.ask(`/api/v1/${path}`, { token }));
        expect([path, status, text.includes(S)]).toEqual([path, 200, false]);
        expect(text).toContain("[masked]");
      }
    }
    const asViewer = await (await rig.ask("/api/v1/requests/recorded", { token: rig.viewer })).json();
    expect([asViewer.recorded, asViewer.request.body, asViewer.response.body]).toEqual([
      "bodies",
      undefined,
      undefined,
    ]);
    const record = await (await rig.ask("/api/v1/requests/recorded")).json();
    expect(record.request.body).toEqual({
      ...{ bytes: record.requestBytes, format: "text", isCut: false },
      content: '{"password":"[masked]","a":1}',
    });
    expect(record.response.body.content).toBe('{"token":"[masked]"}');
    expect(record.request.fields[1]).toEqual({ name: "Authorization", value: "Bearer [masked]" });
  });
});

describe("recording", () => {
  test("is of services that are known, is listed, ends, and is in the audit log", async () => {
    const rig = await newRig();
    const start = (service: string): Promise<Response> =>
      rig.ask("/api/v1/recording", json("PUT", { service, minutes: 5 }));
    expect((await start("nobody")).status).toBe(404);
    const made = await (await start("web")).json();
    expect(made).toMatchObject({ service: "web", bodyBytesMax: 65_536, by: "otto" });
    expect(made.untilMs).toBeGreaterThan(Date.now() + 200_000);
    expect((await (await rig.ask("/api/v1/recording")).json()).items).toEqual([made]);
    const stop = (): Promise<Response> => rig.ask("/api/v1/recording?service=web", { method: "DELETE" });
    expect([(await stop()).status, (await stop()).status]).toEqual([204, 404]);
    const audits = rig.firewall.store.audits(10).items;
    expect(audits.map(({ by, action }) => [by, action])).toEqual([
      ["otto", "recording.stop"],
      ["otto", "recording.start"],
    ]);
  });

  test("does not begin when nobody can write down that it did; an end holds all the same", async () => {
    const rig = await newRig();
    const { store } = rig.firewall;
    const put = json("PUT", { service: "web", minutes: 5 });
    const { addAudit } = store;
    const fail = (): never => {
      throw new StoreError("Cannot write to the store: it is full", "full");
    };
    Object.assign(store, { addAudit: fail });
    expect((await rig.ask("/api/v1/recording", put)).status).toBe(503);
    expect(rig.traffic.control.recordings()).toEqual([]);
    Object.assign(store, { addAudit: addAudit.bind(store) });
    expect((await rig.ask("/api/v1/recording", put)).status).toBe(200);
    Object.assign(store, { addAudit: fail });
    expect((await rig.ask("/api/v1/recording?service=web", { method: "DELETE" })).status).toBe(503);
    expect(rig.traffic.control.recordings()).toEqual([]);
  });
});

describe("a replay", () => {
  const replay = (rig: ApiRig, id: string): Promise<Response> =>
    rig.ask(`/api/v1/requests/${id}/replay`, { method: "POST" });

  test("of what was recorded is the same request, byte for byte, and tells no secret", async () => {
    const rig = await newRig();
    add(rig, "req-9", true, { target: `/a?token=${S}`, secure: true });
    const body = JSON.stringify({ token: `${S}!` });
    rig.traffic.answer =
      `HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nSet-Cookie: sid=${S}2\r\n` +
      `Date: now\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const [status, text] = await statusAndText(replay(rig, "req-9"));
    expect([status, text.includes(S)]).toEqual([200, false]);
    const report = JSON.parse(text);
    expect(report).toMatchObject({
      id: "new-id",
      omitted: [],
      original: { status: 200 },
      answer: { status: 201 },
    });
    expect(report.differences.map(({ part }: { part: string }) => part))
      .toEqual(["status", "header set-cookie", "body", "bodyBytes"]);
    const [{ call, text: sent }] = rig.traffic.sent as [typeof rig.traffic.sent[0]];
    expect(sent.split("\r\n")).toEqual([
      ...[`POST /a?token=${S} HTTP/1.1`, "Host: shop.example", `Authorization: Bearer ${S}`, "X-Plain: p"],
      ...[
        "Content-Type: application/json",
        `Content-Length: ${JSON.stringify({ password: S, a: 1 }).length}`,
      ],
      ...["", JSON.stringify({ password: S, a: 1 })],
    ]);
    expect(call).toMatchObject({ replayOf: "req-9", service: "web", address: "192.0.2.9", secure: true });
    expect(call.from).toBeUndefined();
    const [audit] = rig.firewall.store.audits(1).items;
    expect(audit).toMatchObject({ action: "request.replay", detail: "req-9 web POST /a?token=[masked]" });
    expect(rig.traffic.lines.join()).not.toContain(S);
  });

  test("of what was not recorded leaves secrets out, and says which", async () => {
    const rig = await newRig();
    add(rig, "bare", false, {
      ...{ method: "GET", hasBody: false, responseBytes: 5 },
      requestFields: ["Host", "a", "AUTHORIZATION", `Basic ${S}`, "cookie", `a=${S}`, "Accept", "x"],
      responseFields: ["Content-Type", "text/plain"],
    });
    const report = await (await replay(rig, "bare")).json();
    expect(report).toMatchObject({ omitted: ["AUTHORIZATION", "cookie"], differences: [] });
    expect(report.original.body).toBeUndefined();
    expect(report.answer.body.content).toBe("hello");
    expect(rig.traffic.sent[0]!.text).toBe("GET /a?b=1 HTTP/1.1\r\nHost: a\r\nAccept: x\r\n\r\n");
  });

  test("of what cannot be sent as it was is refused with what to do, and nothing is sent", async () => {
    const rig = await newRig();
    const { log } = rig.traffic.watch;
    const cut = bodiesOf(log, { request: "x".repeat(100), bytesMax: 10 });
    const half = bodiesOf(log, { request: "half", isWhole: false });
    const cases: readonly (readonly [string, RegExp, Partial<RequestFacts>])[] = [
      ["no-body", /not recorded: record the service/, { hasBody: true }],
      ["cut-body", /larger bodyBytesMax/, { hasBody: true, bodies: cut }],
      ["half-body", /not recorded whole/, { hasBody: true, bodies: half }],
      ["secret-target", /secret that was not recorded/, { target: `/?token=${S}` }],
      ["long", /too long/, { requestFields: ["X-Long", "v".repeat(9_000)] }],
      ["upgrade", /upgrade/, { upgrade: true, status: 101 }],
      ["no-service", /no service/, { service: "", status: 404 }],
      ["no-caller", /box-9, which sent it, is not linked/, {
        direction: "east-west",
        caller: "box-9",
        source: "a/b",
      }],
    ];
    for (const [id, reason, change] of cases) {
      log.add(requestFacts({ id, ...change }));
      const answer = await replay(rig, id);
      const { detail } = await answer.json();
      expect([id, answer.status, reason.test(detail)]).toEqual([id, 409, true]);
    }
    expect([cases.length, rig.traffic.sent.length]).toEqual([8, 0]);
  });

  test("of a call goes out as the agent that called, by the link that it has now", async () => {
    const rig = await newRig();
    const end = { agent: "shop-1", namespace: "shop", image: "acme/shop:1" };
    // One came back with a token that does not let it call the service any more.
    const lesser = attachmentOf({ ...end, reach: ["other"] });
    rig.options.registry.add(lesser);
    const caller = attachmentOf({ ...end, reach: ["web"] });
    const change = { direction: "east-west" as const, caller: "shop-1", source: caller.group.id };
    rig.traffic.watch.log.add(requestFacts({ id: "call", ...change }));
    rig.traffic.watch.log.add(requestFacts({ id: "forged", ...change, source: "other/group" }));
    const refused = await replay(rig, "call");
    expect([refused.status, (await refused.json()).detail]).toEqual([
      409,
      "Cannot send it again: the token of shop-1, which sent it, does not let it reach web any more",
    ]);
    rig.options.registry.add(caller);
    expect([(await replay(rig, "call")).status, (await replay(rig, "forged")).status]).toEqual([200, 409]);
    expect(rig.traffic.sent.map(({ call }) => [call.from === caller, call.address])).toEqual([[true, ""]]);
  });

  test("is not sent when nobody can write down that it was", async () => {
    const rig = await newRig();
    rig.traffic.watch.log.add(requestFacts());
    Object.assign(rig.firewall.store, {
      addAudit: (): never => {
        throw new StoreError("Cannot write to the store: it is full", "full");
      },
    });
    expect([(await replay(rig, "req-1")).status, rig.traffic.sent.length]).toEqual([503, 0]);
  });

  test("whose answer breaks off or is no answer is told as that", async () => {
    const rig = await newRig();
    rig.traffic.watch.log.add(requestFacts());
    rig.traffic.answer = "no HTTP at all\r\n\r\n";
    const none = await replay(rig, "req-1");
    expect(none.status).toBe(503);
    expect((await none.json()).detail).toContain("Cannot read");
    rig.traffic.answer = ANSWER;
    expect((await replay(rig, "req-1")).status).toBe(200);
  });
});
