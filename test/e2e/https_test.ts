/**
 * HTTPS at the gateway: the certificate of each name, renewals without a restart, the visitor's own address, and a
 * link through a front that wants a client certificate.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import net, { type AddressInfo } from "node:net";
import tls from "node:tls";
import { TestAuthority, type TestPair } from "../support/certificates.ts";
import { RUNTIMES, useProcesses } from "../support/processes.ts";
import { eventually, portOf, spawnAgent, startAgent, startGateway, TEST_MS_MAX } from "./wall.ts";

const processes = useProcesses();
let authority: TestAuthority;

beforeAll(() => {
  authority = new TestAuthority();
});
afterAll(() => authority.dispose());

/** The serial number of the certificate that a server shows for a name. */
function serialFor(port: number, servername: string | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      ...{ host: "127.0.0.1", port, rejectUnauthorized: false },
      ...(servername === undefined ? {} : { servername }),
    }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

/** One request over TLS from another loopback address, and the whole answer as text. */
function requestFrom(localAddress: string, port: number, servername: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const raw = net.connect({ host: "127.0.0.1", port, localAddress });
    raw.on("error", reject);
    const socket = tls.connect({ socket: raw, servername, ca: authority.cert }, () => {
      socket.write(`GET / HTTP/1.1\r\nHost: ${servername}\r\nConnection: close\r\n\r\n`);
    });
    let text = "";
    socket.on("error", reject).on("data", (chunk) => text += chunk).on("close", () => resolve(text));
  });
}

for (const runtime of RUNTIMES) {
  describe(`a gateway on ${runtime}`, () => {
    it("shows the certificate of the name, and a renewed one without a restart", async () => {
      const [a, b] = [authority.leaf({ san: ["DNS:a.test"] }), authority.leaf({ san: ["DNS:*.b.test"] })];
      const gateway = await startGateway(processes, runtime, {
        args: [
          ...["--https", "127.0.0.1:0", "--cert", a.certPath, "--key", a.keyPath],
          ...["--cert", b.certPath, "--key", b.keyPath, "--route", "*=web"],
        ],
      });
      const port = portOf(gateway.addresses["https"]);
      const serials = {
        a: await serialFor(port, "a.test"),
        b: await serialFor(port, "x.b.test"),
        other: await serialFor(port, "other.test"),
        none: await serialFor(port, undefined),
      };
      expect(serials.b).not.toBe(serials.a);
      // Whoever asks for nothing that is here gets the first.
      expect([serials.other, serials.none]).toEqual([serials.a, serials.a]);
      const renewed: TestPair = authority.leaf({ san: ["DNS:a.test"] });
      copyFileSync(renewed.certPath, a.certPath);
      copyFileSync(renewed.keyPath, a.keyPath);
      const fresh = await eventually(() => serialFor(port, "a.test"), (serial) => serial !== serials.a);
      await eventually(() => serialFor(port, undefined), (serial) => serial === fresh);
      expect(await serialFor(port, "x.b.test")).toBe(serials.b);
      expect(await gateway.process.stop()).toMatchObject({ code: 0 });
    }, TEST_MS_MAX);

    it("tells the target the visitor's own address and that it came by https", async () => {
      const pair = authority.leaf({ san: ["DNS:a.test"] });
      const gateway = await startGateway(processes, runtime, {
        args: ["--https", "127.0.0.1:0", "--cert", pair.certPath, "--key", pair.keyPath, "--route", "*=web"],
      });
      const heads: string[] = [];
      const target = net.createServer((socket) => {
        socket.on("error", () => {}).on("data", (chunk) => {
          heads.push(chunk.toString("latin1"));
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        });
      });
      await new Promise<void>((resolve) => target.listen(0, "127.0.0.1", resolve));
      const serve = ["--serve", `web=http://127.0.0.1:${(target.address() as AddressInfo).port}`];
      await startAgent(processes, runtime, gateway, { args: serve });
      const port = portOf(gateway.addresses["https"]);
      expect(await requestFrom("127.0.0.77", port, "a.test")).toMatch(
        /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nok$/,
      );
      expect(heads).toHaveLength(1);
      expect(heads[0]).toContain(
        "X-Forwarded-For: 127.0.0.77\r\nX-Forwarded-Host: a.test\r\nX-Forwarded-Proto: https\r\n",
      );
      expect(heads[0]).toContain("Forwarded: for=127.0.0.77;host=a.test;proto=https\r\n");
      target.close();
    }, TEST_MS_MAX);

    it("is reached by an agent through a front that wants a client certificate", async () => {
      const pair = authority.leaf({ san: ["DNS:front.test", "DNS:localhost"] });
      const client = authority.leaf({ commonName: "agent" });
      const gateway = await startGateway(processes, runtime, {});
      // Bun's and Deno's servers differ in how they refuse; here only who gets through counts.
      let through = 0;
      const front = tls.createServer({
        ...{
          cert: pair.cert,
          key: pair.key,
          ca: authority.cert,
          requestCert: true,
          rejectUnauthorized: true,
        },
      }, (socket) => {
        through++;
        const inner = net.connect({ host: "127.0.0.1", port: gateway.port });
        socket.pipe(inner).pipe(socket);
        for (const end of [socket, inner]) {
          end.on("error", () => [socket, inner].forEach((each) => each.destroy()));
        }
      });
      front.on("tlsClientError", () => {});
      await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
      const at = `wss://localhost:${(front.address() as AddressInfo).port}`;
      const ca = ["--gateway-ca", join(authority.folder, "ca.pem")];
      const serve = ["--serve", "web=http://127.0.0.1:1"];
      const without = await spawnAgent(processes, runtime, gateway, { at, args: [...ca, ...serve] });
      await without.waitFor("stderr", /cannot link/);
      expect([through, without.stdout()]).toEqual([0, ""]);
      without.kill();
      const certificate = ["--gateway-cert", client.certPath, "--gateway-key", client.keyPath];
      await startAgent(processes, runtime, gateway, { at, args: [...ca, ...certificate, ...serve] });
      expect(through).toBe(1);
      front.close();
    }, TEST_MS_MAX);
  });
}
