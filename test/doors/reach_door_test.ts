/**
 * Tests of the door to one service of another agent, over real sockets.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DoorOptions, openReachDoor } from "../../lib/doors/reach_door.ts";
import type { TcpListener } from "../../lib/runtime/listen_tcp.ts";
import { TcpEnd } from "../e2e/tcp_wall.ts";
import { until } from "../support/session_pair.ts";
import { Gateway, keptLog } from "./gateway_end.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function gateway(): Promise<Gateway> {
  const started = await Gateway.start();
  cleanups.push(() => started.pair.gateway.end === undefined ? started.close() : undefined);
  return started;
}

async function open(
  options: Partial<DoorOptions>,
): Promise<{ listener: TcpListener; lines: Record<string, unknown>[] }> {
  const { log, lines } = keptLog();
  const listener = await openReachDoor("db", {
    ...{ at: { host: "127.0.0.1", port: 0 }, sessions: () => [], connectionsMax: 10 },
    ...{ idleTimeoutMs: 0, log, logAccess: true },
    ...options,
  });
  cleanups.push(() => listener.close());
  return { listener, lines };
}

async function connect(at: number | string): Promise<TcpEnd> {
  const end = await TcpEnd.connect(at);
  cleanups.push(() => end.destroy());
  return end;
}

describe("the reach door", () => {
  test("splices whatever connects with the service, both ways", async () => {
    const one = await gateway();
    const { listener, lines } = await open({ sessions: () => [one.session] });
    const program = await connect(listener.port);
    program.write("query").end();
    const call = await one.call(0);
    expect([call.open.kind, call.open.service, call.fields]).toEqual(["tcp", "db", []]);
    await until(() => call.sink.ended, "the end of the program");
    expect(call.text).toBe("query");
    call.write("rows").end();
    expect(String(await program.rest())).toBe("rows");
    expect(await program.gone()).toBe("end");
    await until(() => lines.length > 0 && one.isClean, "the end of all");
    expect(lines[0]).toMatchObject({
      message: "reached",
      service: "db",
      by: "closed",
      readBytes: 5,
      writtenBytes: 4,
    });
  });

  test("a service that speaks first is heard", async () => {
    const one = await gateway();
    one.answer = (call) => call.stand("220 ready");
    const { listener } = await open({ sessions: () => [one.session] });
    expect(String(await (await connect(listener.port)).take(9))).toBe("220 ready");
  });

  test("what cannot be reached is a reset and never an end, with its reason in the log", async () => {
    const one = await gateway();
    one.answer = ({ stream }) => stream.reset("unknownService", "No agent serves db");
    let sessions = [one.session];
    const { listener, lines } = await open({ sessions: () => sessions });
    const program = await connect(listener.port);
    program.write("query");
    expect(await program.gone()).toBe("ECONNRESET");
    expect(program.ended).toBe(false);
    sessions = [];
    const second = await connect(listener.port);
    expect(await second.gone()).toBe("ECONNRESET");
    await until(() => lines.length === 2, "the log");
    expect(lines).toMatchObject([
      { level: "warn", failure: "unknownService", detail: "No agent serves db" },
      { level: "warn", failure: "no_link" },
    ]);
  });

  test("a program that leaves before the service stands is no warning", async () => {
    const one = await gateway();
    one.answer = () => {};
    const { listener, lines } = await open({ sessions: () => [one.session] });
    const program = await connect(listener.port);
    program.write("query");
    await one.call(0);
    program.reset();
    await until(() => lines.length > 0, "the log");
    expect(lines).toMatchObject([{ level: "debug", message: "cannot reach a service", failure: "left" }]);
  });

  test("while no gateway is linked one call is a warning, and those right behind it are not", async () => {
    const { listener, lines } = await open({});
    const programs = await Promise.all([1, 2, 3, 4].map(() => connect(listener.port)));
    for (const program of programs) expect(await program.gone()).toBe("ECONNRESET");
    await until(() => lines.length === 4, "the log");
    expect(lines.map(({ level, failure }) => [level, failure])).toEqual([
      ["warn", "no_link"],
      ...[2, 3, 4].map(() => ["debug", "no_link"]),
    ]);
  });

  test("of several gateways one that cannot help is passed over, and no byte goes to it", async () => {
    const [first, second] = [await gateway(), await gateway()];
    for (const each of [first, second]) {
      each.answer = (call) =>
        first.calls.length + second.calls.length === 1 ? call.stream.reset("unknownService") : call.stand();
    }
    const { listener } = await open({ sessions: () => [first.session, second.session] });
    const program = await connect(listener.port);
    program.write("query").end();
    await until(() => first.calls.length + second.calls.length === 2, "both to be asked");
    const served = [...first.calls, ...second.calls].find(({ sink }) =>
      sink.resets === 0 && !sink.stream!.closed
    );
    await until(() => served!.sink.ended, "the end of the program");
    expect(served!.text).toBe("query");
    const passed = [...first.calls, ...second.calls].find((call) => call !== served)!;
    expect(passed.sink.bytes).toBe(0);
  });

  test("a link that is lost resets the program", async () => {
    const one = await gateway();
    const { listener } = await open({ sessions: () => [one.session] });
    const program = await connect(listener.port);
    program.write("query");
    await until(() => one.calls[0]?.sink.bytes === 5, "the query");
    one.pair.gateway.session.close("none", "lost");
    expect(await program.gone()).toBe("ECONNRESET");
    expect(program.ended).toBe(false);
  });

  test("nothing either way for the idle timeout ends it, and the other side is told", async () => {
    const one = await gateway();
    const { listener, lines } = await open({ sessions: () => [one.session], idleTimeoutMs: 40 });
    const program = await connect(listener.port);
    expect(await program.gone()).toBe("ECONNRESET");
    await until(() => lines.length > 0, "the log");
    expect(lines[0]).toMatchObject({ message: "reached", by: "idle" });
    const call = await one.call(0);
    await until(() => call.sink.resets > 0, "the reset");
    expect(call.sink.error?.code).toBe("cancelled");
  });

  test("may be a unix socket, for its user and group", async () => {
    const folder = mkdtempSync(join(tmpdir(), "netwall-reach-"));
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
    const one = await gateway();
    const path = join(folder, "db.sock");
    const { listener } = await open({ sessions: () => [one.session], at: { path } });
    expect([listener.address, statSync(path).mode & 0o777]).toEqual([`unix:${path}`, 0o660]);
    const program = await connect(path);
    program.write("query").end();
    const call = await one.call(0);
    await until(() => call.sink.ended, "the end of the program");
    call.write("rows").end();
    expect(String(await program.rest())).toBe("rows");
  });

  test("over its limit a connection is reset, and the log says so", async () => {
    const one = await gateway();
    const { listener, lines } = await open({ sessions: () => [one.session], connectionsMax: 1 });
    await connect(listener.port);
    await one.call(0);
    expect(await (await connect(listener.port)).gone()).toBe("ECONNRESET");
    expect(one.calls).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      level: "warn",
      message: "too many connections at a door",
      service: "db",
    });
  });
});
