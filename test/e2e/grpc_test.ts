/**
 * gRPC over TLS that is passed through: HTTP/2 with trailers, streams both ways and deadlines, none of which the wall
 * needs to know.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import { TestAuthority } from "../support/certificates.ts";
import { bunBinary, ROOT, useProcesses } from "../support/processes.ts";
import { asIs, DEFINITION, MESSAGE_BYTES_MAX, MESSAGES } from "./grpc_server.ts";
import { pattern } from "./tcp_wall.ts";
import { CROSS, portOf, startAgent, startGateway, TEST_MS_MAX } from "./wall.ts";

const MIB = 1 << 20;

const processes = useProcesses();
let authority: TestAuthority;
let serverPort: number;

beforeAll(async () => {
  authority = new TestAuthority();
  const { certPath, keyPath } = authority.leaf({ san: ["DNS:grpc.test"], commonName: "grpc.test" });
  const file = join(ROOT, "test", "e2e", "grpc_server.ts");
  const { port } = await processes.start([bunBinary(), file, certPath, keyPath]).ready;
  serverPort = Number(port);
});
afterAll(() => {
  authority?.dispose();
});

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agent on ${agentRuntime}`, () => {
    let client: grpc.Client;
    let stop: () => Promise<void>;

    beforeAll(async () => {
      const gateway = await startGateway(processes, gatewayRuntime, {
        args: ["--sni", "127.0.0.1:0", "--route", "grpc.test@h2=grpc"],
      });
      const agent = await startAgent(processes, agentRuntime, gateway, {
        args: ["--serve", `grpc=tcp://127.0.0.1:${serverPort}`],
      });
      const port = portOf(gateway.addresses["sni"]);
      client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createSsl(Buffer.from(authority.cert)), {
        "grpc.ssl_target_name_override": "grpc.test",
        "grpc.default_authority": "grpc.test",
        "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
      });
      stop = async () => {
        client.close();
        expect(await agent.stop()).toMatchObject({ code: 0 });
        expect(await gateway.process.stop()).toMatchObject({ code: 0 });
      };
    });
    afterAll(() => stop());

    /** One question, one answer. */
    function ask(
      { path }: { path: string },
      message: Buffer,
      options: grpc.CallOptions = {},
    ): Promise<{ answer?: Buffer; error?: grpc.ServiceError; trailers?: grpc.Metadata }> {
      const metadata = new grpc.Metadata();
      metadata.set("tag", gatewayRuntime);
      return new Promise((resolve) => {
        let trailers: grpc.Metadata | undefined;
        const call = client.makeUnaryRequest(
          path,
          asIs,
          asIs,
          message,
          metadata,
          options,
          (error, answer) => {
            // The status comes in the trailers, behind the answer.
            setImmediate(() =>
              resolve({
                ...(answer === undefined ? {} : { answer }),
                ...(error === null ? {} : { error }),
                ...(trailers === undefined ? {} : { trailers }),
              })
            );
          },
        );
        call.on("status", (status) => trailers = status.metadata);
      });
    }

    test("a question gets its answer, and its trailers", async () => {
      const { answer, error, trailers } = await ask(DEFINITION.unary, Buffer.from("hello"));
      expect([error, String(answer), trailers?.get("seen")]).toEqual([undefined, "hello", [gatewayRuntime]]);
    }, TEST_MS_MAX);

    test("a message of 8 MB comes back whole", async () => {
      const sent = pattern(8 * MIB);
      const { answer, error } = await ask(DEFINITION.unary, sent);
      expect([error, answer?.equals(sent)]).toEqual([undefined, true]);
    }, TEST_MS_MAX);

    test("a server streams", async () => {
      const call = client.makeServerStreamRequest(DEFINITION.count.path, asIs, asIs, Buffer.from("x"));
      const got: string[] = [];
      for await (const message of call) got.push(String(message));
      expect(got).toEqual(Array.from({ length: MESSAGES }, (_, index) => `${index} x`));
    }, TEST_MS_MAX);

    test("a client streams", async () => {
      const sent = pattern(4 * MIB);
      const answer = await new Promise<Buffer>((resolve, reject) => {
        const call = client.makeClientStreamRequest<Buffer, Buffer>(
          DEFINITION.collect.path,
          asIs,
          asIs,
          (error, bytes) => error ? reject(error) : resolve(bytes!),
        );
        for (let at = 0; at < sent.length; at += 100_000) call.write(sent.subarray(at, at + 100_000));
        call.end();
      });
      expect(answer.toString("hex")).toBe(createHash("sha256").update(sent).digest("hex"));
    }, TEST_MS_MAX);

    test("both stream at once, each message answered before the next is sent", async () => {
      const call = client.makeBidiStreamRequest<Buffer, Buffer>(DEFINITION.chat.path, asIs, asIs);
      let rounds = 0;
      const ended = new Promise<void>((resolve, reject) => {
        call.on("data", (bytes: Buffer) => {
          if (String(bytes) !== `round ${rounds}`) reject(new Error(`Not round ${rounds}: ${bytes}`));
          if (++rounds === 200) call.end();
          else call.write(Buffer.from(`round ${rounds}`));
        });
        call.on("end", resolve).on("error", reject);
      });
      call.write(Buffer.from("round 0"));
      await ended;
      expect(rounds).toBe(200);
    }, TEST_MS_MAX);

    test("an error is the server's own", async () => {
      const { error } = await ask(DEFINITION.fail, Buffer.from(""));
      expect([error?.code, error?.details]).toEqual([grpc.status.FAILED_PRECONDITION, "not today: ü"]);
    }, TEST_MS_MAX);

    test("a deadline ends the call at both ends, and the connection goes on", async () => {
      const cancelled = async (): Promise<number> => {
        const { answer } = await ask(DEFINITION.cancelled, Buffer.from(""));
        return Number(String(answer));
      };
      const before = await cancelled();
      const { error } = await ask(DEFINITION.hang, Buffer.from(""), { deadline: Date.now() + 300 });
      expect(error?.code).toBe(grpc.status.DEADLINE_EXCEEDED);
      const { answer } = await ask(DEFINITION.unary, Buffer.from("after"));
      expect([String(answer), await cancelled()]).toEqual(["after", before + 1]);
    }, TEST_MS_MAX);
  });
}
