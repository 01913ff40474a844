/**
 * A session of the page at a real gateway: begun by a link that the command printed, and told to no service that is
 * visited at the same host name.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { netwallCommand, useProcesses } from "../support/processes.ts";
import { fieldOf, fieldsOf, get, RawTarget, request } from "./raw.ts";
import { CROSS, portOf, startAgent, startGateway, TEST_MS_MAX } from "./wall.ts";

const processes = useProcesses();
let target: RawTarget;

beforeAll(async () => {
  target = await RawTarget.start();
});
afterAll(() => target.close());

function post(path: string, fields: readonly string[], body: string): string {
  const length = `Content-Length: ${body.length}`;
  return get(path, ["Host: localhost", "Content-Type: application/json", length, ...fields], "POST") + body;
}

for (const [runtime, other] of CROSS) {
  describe(`a gateway on ${runtime}`, () => {
    test("opens its page by a link once, and passes the session to no service", async () => {
      const gateway = await startGateway(processes, runtime, {
        args: ["--route", "*=web", "--admin", "127.0.0.1:0"],
      });
      await startAgent(processes, other, gateway, { args: ["--serve", `web=${target.url}`] });
      const admin = String(gateway.addresses["admin"]);
      const command = [...netwallCommand(other, "gateway"), "page", "--admin", admin, "--data", gateway.data];
      const link = await processes.run([...command, "--role", "viewer"]);
      const [, code] = new RegExp(`^http://${admin}/#code=([\\w-]{32})\n$`).exec(link)!;
      const signIn = post("/api/v1/session", ["X-Netwall-Page: 1"], JSON.stringify({ code }));
      const begun = await request(portOf(admin), signIn);
      expect([begun.status, JSON.parse(String(begun.body)).role]).toEqual([200, "viewer"]);
      expect((await request(portOf(admin), signIn)).status).toBe(401);

      const cookie = fieldOf(begun, "set-cookie")!.split(";")[0]!;
      const asked = [`Host: localhost`, `Cookie: a=1; ${cookie}; b="2"`];
      const status = await request(portOf(admin), get("/api/v1/status", [...asked, "X-Netwall-Page: 1"]));
      expect([status.status, JSON.parse(String(status.body)).caller.role]).toEqual([200, "viewer"]);
      expect((await request(portOf(admin), get("/api/v1/status", asked))).status).toBe(401);

      // A browser sends it to the public listener too, where a service has a path below /api/v1.
      const path = `/api/v1/${runtime}`;
      const visits: [string, string[], string[]][] = [
        ["some", asked, ['a=1; b="2"']],
        ["none", [`Cookie: ${cookie}`], []],
        ["two", [`Cookie: ${cookie}`, "Cookie: c=3"], ["c=3"]],
        ["upgrade", [...asked, "Connection: Upgrade", "Upgrade: websocket"], ['a=1; b="2"']],
        ["foreign", ["Cookie: a=netwall_session"], ["a=netwall_session"]],
      ];
      for (const [name, fields, cookies] of visits) {
        await request(gateway.port, get(`${path}/${name}`, fields));
        const seen = await target.request(`${path}/${name}`);
        expect([name, fieldsOf(seen, "cookie")]).toEqual([name, cookies]);
        expect(seen.raw.includes(cookie.split("=")[1]!)).toBe(false);
      }
      expect(visits).toHaveLength(5);
    }, TEST_MS_MAX);
  });
}
