/**
 * Requests that are sent once more: answers that never come, are too long, or break off, and too many at once.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { ControlError } from "../../lib/admin/control.ts";
import { REPLAY_BODY_BYTES_MAX } from "../../lib/gateway/replay_request.ts";
import { REPLAYS_MAX } from "../../lib/gateway/traffic_control.ts";
import { Registry } from "../../lib/routing/registry.ts";
import { requestFacts, type TrafficRig, trafficRig } from "../support/traffic_rig.ts";

const OTTO = { name: "otto", role: "operator" } as const;
const turn = <T>(work: () => T): Promise<Awaited<T>> => Promise.resolve(work()) as Promise<Awaited<T>>;

function rigOf(replayTimeoutMs: number): TrafficRig {
  const rig = trafficRig({ registry: new Registry(), store: undefined, replayTimeoutMs });
  rig.watch.log.add(requestFacts());
  return rig;
}

/** What a replay is refused with. */
async function refusal(rig: TrafficRig): Promise<ControlError> {
  try {
    await rig.control.replay("req-1", OTTO, turn);
  } catch (error) {
    if (error instanceof ControlError) return error;
    throw error;
  }
  throw new Error("It was not refused");
}

test("without an answer in time it is given up, and so many are waited for at once", async () => {
  const rig = rigOf(300);
  rig.answer = undefined;
  const waiting = Array.from({ length: REPLAYS_MAX }, () => refusal(rig));
  expect((await refusal(rig)).message).toContain("Too many");
  for (const error of await Promise.all(waiting)) {
    expect([error.code, error.message]).toEqual([
      "unavailable",
      "No answer came in 0.3 s: the log of the gateway says more",
    ]);
  }
  expect(rig.sent).toHaveLength(REPLAYS_MAX);
  // Their places are free again.
  rig.answer = "HTTP/1.1 204 No Content\r\n\r\n";
  expect((await rig.control.replay("req-1", OTTO, turn)).answer.status).toBe(204);
  rig.watch.close();
});

test("an answer that is too long, breaks off or never ends is cut, and no part of it is compared", async () => {
  const rig = rigOf(300);
  const long = "x".repeat(REPLAY_BODY_BYTES_MAX + 5);
  rig.answer = `HTTP/1.1 200 OK\r\nContent-Length: ${long.length}\r\n\r\n${long}`;
  const { answer, differences } = await rigReplay(rig);
  expect([answer.body!.bytes, answer.body!.isCut, answer.body!.content.length])
    .toEqual([long.length, true, REPLAY_BODY_BYTES_MAX]);
  expect(differences.map(({ part }) => part)).toEqual(["header content-type", "bodyBytes"]);
  rig.answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnever more";
  const endless = await rigReplay(rig);
  expect([endless.answer.body!.content, endless.answer.body!.isCut]).toEqual(["never more", true]);
  rig.watch.close();
});

function rigReplay(rig: TrafficRig): ReturnType<TrafficRig["control"]["replay"]> {
  return rig.control.replay("req-1", OTTO, turn);
}
