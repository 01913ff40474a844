/**
 * A visitor sends a body that is made to be slow to look through, and waits until an operator looks at it.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import http, { type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import {
  CROSS,
  eventually,
  type RunningGateway,
  startAgent,
  startGateway,
  TEST_MS_MAX,
} from "../e2e/wall.ts";
import { useProcesses } from "../support/processes.ts";

/** Each was measured to hold the gateway for minutes when it was looked through by one pattern in one go. */
const BODIES = ["-eyJ", `<${"a".repeat(4_000)}`];
const BODY_BYTES = 1 << 20;

const processes = useProcesses();
let origin: Server;

beforeAll(async () => {
  origin = http.createServer((incoming, outgoing) => {
    // What it gives back is looked through as well.
    if (incoming.url !== "/small") return void incoming.pipe(outgoing);
    incoming.resume();
    outgoing.end("ok");
  });
  await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
});
afterAll(() => {
  origin.close();
  origin.closeAllConnections();
});

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}`, () => {
    let gateway: RunningGateway;

    beforeAll(async () => {
      gateway = await startGateway(processes, gatewayRuntime, {
        args: ["--route", "*=web", "--admin", "127.0.0.1:0"],
      });
      const { port } = origin.address() as AddressInfo;
      const args = ["--serve", `web=http://127.0.0.1:${port}`];
      await startAgent(processes, agentRuntime, gateway, { name: "box", args });
    });

    // deno-lint-ignore no-explicit-any -- answers of several routes are looked into
    async function api(path: string, method = "GET", value?: object): Promise<any> {
      const token = readFileSync(join(gateway.data, "admin-token"), "utf8").trim();
      const headers = {
        authorization: `Bearer ${token}`,
        ...(value && { "content-type": "application/json" }),
      };
      const init = { method, headers, ...(value && { body: JSON.stringify(value) }) };
      const answer = await fetch(`http://${gateway.addresses["admin"]}/api/v1/${path}`, init);
      expect([path, answer.status]).toEqual([path, 200]);
      return await answer.json();
    }

    async function visit(path: string, body?: string): Promise<string> {
      const init = body === undefined ? {} : { method: "POST", body };
      return await (await fetch(`http://127.0.0.1:${gateway.port}${path}`, init)).text();
    }

    test("visitors are answered while it is looked through", async () => {
      await api("recording", "PUT", { service: "web", minutes: 1, bodyBytesMax: BODY_BYTES });
      for (const [i, piece] of BODIES.entries()) {
        const body = piece.repeat(BODY_BYTES / piece.length);
        expect((await visit(`/large/${i}`, body)).length).toBe(body.length);
        const find = async (): Promise<{ id: string } | undefined> =>
          (await api("requests")).items.find(({ target }: { target: string }) => target === `/large/${i}`);
        const { id } = (await eventually(find, (found) => found !== undefined))!;
        let isRead = false;
        const reading = Promise.all([api(`requests/${id}`), api(`requests/${id}/replay`, "POST")])
          .finally(() => isRead = true);
        let visits = 0;
        while (!isRead || visits === 0) {
          expect(await visit("/small")).toBe("ok");
          visits++;
        }
        const [shown, replayed] = await reading;
        expect([shown.response.body.isCut, shown.response.body.content.length > 0]).toEqual([false, true]);
        expect([replayed.answer.status, replayed.differences]).toEqual([200, []]);
        expect(visits).toBeGreaterThan(0);
      }
    }, TEST_MS_MAX);
  });
}
