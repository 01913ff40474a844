/**
 * Tests of connections that leave the container: which gateway is asked, when the next one is, and what a failure is.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { openOutgoing, type OutgoingFailure, type OutgoingOptions } from "../../lib/doors/outgoing.ts";
import type { Session } from "../../lib/mux/session.ts";
import type { SpliceFacts } from "../../lib/tcp/splice.ts";
import { ErrorCode, type ErrorName } from "../../lib/wire/errors.ts";
import { pattern, settle, startPair, until } from "../support/session_pair.ts";
import { FakeSocket } from "../tcp/fake_socket.ts";
import { Gateway, STANDS } from "./gateway_end.ts";

const gateways: Gateway[] = [];
afterEach(async () => {
  for (const gateway of gateways.splice(0)) {
    if (gateway.pair.gateway.end === undefined) await gateway.close();
  }
});

async function gateway(streamsMax?: number): Promise<Gateway> {
  const started = await Gateway.start(streamsMax);
  gateways.push(started);
  return started;
}

interface Going {
  readonly socket: FakeSocket;
  readonly failures: { failure: OutgoingFailure; detail: string }[];
  readonly done: SpliceFacts[];
}

function go(sessions: Iterable<Session>, options: Partial<OutgoingOptions> = {}): Going {
  const going: Going = { socket: new FakeSocket(), failures: [], done: [] };
  openOutgoing(sessions, {
    ...{ destination: { kind: "tcp", service: "db" }, waits: false, idleTimeoutMs: 0 },
    socket: going.socket.asSocket,
    onFailure: (failure, detail) => void going.failures.push({ failure, detail }),
    onDone: (facts) => void going.done.push(facts),
    ...options,
  });
  return going;
}

function kinds({ failures }: Going): OutgoingFailure[] {
  return failures.map(({ failure }) => failure);
}

describe("openOutgoing()", () => {
  test("without a link, or with one that has not said HELLO, there is none", async () => {
    expect(kinds(go([]))).toEqual(["no_link"]);
    const pair = startPair();
    expect(kinds(go([pair.agent.session]))).toEqual(["no_link"]);
    pair.gateway.session.close("none", "over");
    await until(() => pair.agent.end !== undefined, "the end");
    expect(kinds(go([pair.agent.session]))).toEqual(["no_link"]);
  });

  test("a token that allows no calls is told apart from links that are full", async () => {
    const closed = await gateway(0);
    const going = go([closed.session]);
    expect(kinds(going)).toEqual(["not_allowed"]);
    expect(going.failures[0]!.detail).toContain("--reach");
    const full = await gateway(1);
    go([full.session]);
    await full.call(0);
    expect(kinds(go([full.session]))).toEqual(["overloaded"]);
    expect(kinds(go([closed.session, full.session]))).toEqual(["overloaded"]);
  });

  test("tells a service by its name, and a host outside by name and port", async () => {
    const one = await gateway();
    go([one.session]);
    go([one.session], { destination: { kind: "egress", host: "example.test", port: 443 } });
    const [service, outside] = [await one.call(0), await one.call(1)];
    expect([service.open.kind, service.open.service, service.fields]).toEqual(["tcp", "db", []]);
    expect([outside.open.kind, outside.open.service]).toEqual(["egress", ""]);
    expect(outside.fields).toEqual(["host", "example.test", "port", "443"]);
  });

  test("with one gateway the socket is read at once, and nothing is lost on the way", async () => {
    const one = await gateway();
    one.answer = () => {};
    const { socket, done, failures } = go([one.session]);
    expect(socket.reads).toBe(true);
    socket.feed(5_000);
    const call = await one.call(0);
    await until(() => call.sink.bytes === 5_000, "the bytes");
    call.stand();
    call.stream.write(pattern(3_000));
    call.end();
    await until(() => socket.ended, "the end");
    socket.feedEnd();
    await until(() => done.length > 0, "the end of all");
    expect([call.sink.sound, socket.sound, socket.takenBytes]).toEqual([true, true, 3_000]);
    expect(done[0]).toMatchObject({ by: "closed", connected: true, readBytes: 5_000, writtenBytes: 3_000 });
    expect(failures).toEqual([]);
    await until(() => one.isClean, "nothing to be left");
  });

  test("asks the gateway first that has least to do", async () => {
    const [busy, idle] = [await gateway(), await gateway()];
    go([busy.session]);
    await busy.call(0);
    go([busy.session, idle.session]);
    await idle.call(0);
    expect([busy.calls.length, idle.calls.length]).toEqual([1, 1]);
  });

  /** Every code that a gateway may answer, but for `none`, which is a lost link here. */
  const CODES = (Object.keys(ErrorCode) as ErrorName[]).filter((code) => code !== "none");
  const ASKS = new Set<ErrorName>(["refused", "unknownService", "targetUnreachable", "draining"]);
  test("the next gateway is asked when the first cannot help, and only then", async () => {
    const asked: ErrorName[] = [];
    for (const code of CODES) {
      const [first, second] = [await gateway(), await gateway()];
      first.answer = ({ stream }) => stream.reset(code, "the reason");
      const going = go([first.session, second.session]);
      // Not read before one of them stands: what was sent to the first would be lost for the second.
      expect(going.socket.started).toBe(0);
      await until(() => going.socket.started > 0 || going.failures.length > 0, "an outcome");
      if (second.calls.length > 0) {
        asked.push(code);
        expect([going.socket.started, going.socket.resets]).toEqual([1, 0]);
      } else {
        expect(going.failures).toEqual([{ failure: code, detail: "the reason" }]);
        expect([going.socket.started, going.socket.resets]).toEqual([0, 0]);
      }
      going.socket.break();
      for (const each of gateways.splice(0)) await each.close();
    }
    expect(CODES.length).toBe(21);
    expect(asked.toSorted()).toEqual([...ASKS].toSorted());
  });

  test("a link that is lost before it stood makes the next one be asked", async () => {
    const [first, second] = [await gateway(), await gateway()];
    first.answer = () => first.pair.gateway.session.close("none", "lost");
    const going = go([first.session, second.session]);
    await until(() => going.socket.started > 0, "the second");
    going.socket.feed(10);
    await until(() => second.calls[0]?.sink.bytes === 10, "the bytes");
    expect(going.failures).toEqual([]);
  });

  test("a link that is lost and was the only one is no link", async () => {
    const one = await gateway();
    one.answer = () => one.pair.gateway.session.close("none", "lost");
    const going = go([one.session]);
    await until(() => going.failures.length > 0, "the failure");
    expect(kinds(going)).toEqual(["no_link"]);
    expect(going.socket.resets).toBe(1);
  });

  test("when none can help the last reason counts, once", async () => {
    const three = [await gateway(), await gateway(), await gateway()];
    const codes: ErrorName[] = ["refused", "draining", "unknownService"];
    for (const [at, each] of three.entries()) {
      each.answer = ({ stream }) => stream.reset(codes[at]!, `of ${at}`);
    }
    for (const [at, waits] of [true, false].entries()) {
      const going = go(three.map(({ session }) => session), { waits });
      await until(() => going.failures.length > 0, "the failure");
      await settle();
      expect(three.map(({ calls }) => calls.length)).toEqual([at + 1, at + 1, at + 1]);
      expect(going.failures).toEqual([{ failure: "unknownService", detail: "of 2" }]);
      // A socket that need not wait is read when the last one is asked.
      expect([going.socket.started, going.socket.resets]).toEqual(waits ? [0, 0] : [1, 1]);
    }
  });

  test("the last of several gateways is not read ahead when the connection waits", async () => {
    const one = await gateway();
    one.answer = () => {};
    const going = go([one.session], { waits: true, onConnected: () => pattern(4) });
    const call = await one.call(0);
    expect(going.socket.started).toBe(0);
    call.stand();
    await until(() => call.sink.bytes === 4, "what goes first");
    going.socket.fedBytes = 4;
    going.socket.feed(6);
    await until(() => call.sink.bytes === 10, "the rest");
    expect(call.sink.sound).toBe(true);
    going.socket.break();
  });

  test("once it stood nobody else is asked, whatever happens", async () => {
    const [first, second] = [await gateway(), await gateway()];
    first.answer = ({ stream }) => {
      stream.sendHead(STANDS);
      setImmediate(() => stream.reset("unknownService", "too late"));
    };
    const going = go([first.session, second.session]);
    await until(() => going.done.length > 0, "the end");
    await settle();
    expect(going.done[0]).toMatchObject({ by: "stream", code: "unknownService", connected: true });
    expect([second.calls.length, going.failures.length, going.socket.resets]).toEqual([0, 0, 1]);
  });

  test("a failure is told once, also when the socket breaks with it", async () => {
    const one = await gateway();
    one.answer = () => {};
    const going = go([one.session]);
    await one.call(0);
    going.socket.break();
    await until(() => going.failures.length > 0, "the failure");
    await settle();
    expect(kinds(going)).toEqual(["left"]);
    expect(one.calls[0]!.sink.error?.code).toBe("cancelled");
    expect(going.done).toEqual([]);
    await until(() => one.isClean, "nothing to be left");
  });

  for (const waits of [true, false]) {
    test(`a gateway that never answers is given up, ${waits ? "while the socket waits" : "also when it is read"}`, async () => {
      const one = await gateway();
      one.answer = () => {};
      const going = go([one.session], { waits, standTimeoutMs: 40 });
      await until(() => going.failures.length > 0, "the failure");
      expect(kinds(going)).toEqual(["targetTimeout"]);
      await until(() => one.calls[0]!.sink.resets > 0 && one.isClean, "the call to be over");
    });
  }

  test("the time for an answer ends with the answer", async () => {
    const one = await gateway();
    const going = go([one.session], { waits: true, standTimeoutMs: 40 });
    await until(() => going.socket.started > 0, "the connection");
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect([going.failures.length, going.done.length, going.socket.resets]).toEqual([0, 0, 0]);
    going.socket.break();
  });
});
