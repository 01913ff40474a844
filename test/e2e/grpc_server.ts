/**
 * A server of gRPC over TLS, as a program of its own: `bun grpc_server.ts CERT KEY` prints its ready line.
 *
 * It runs on Bun whatever the tests run on: on Deno 2.9 the library's server takes its credentials and then speaks
 * in the clear. Its client is fine on both.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import process from "node:process";
import grpc from "@grpc/grpc-js";

const MIB = 1 << 20;

/** How many messages a server stream has. */
export const MESSAGES = 500;

/** The longest message, either way. */
export const MESSAGE_BYTES_MAX = 16 * MIB;

/** A message is bytes, and no schema is needed. */
export const asIs = (bytes: Buffer): Buffer => bytes;

/** Methods whose messages are bytes, so that no schema is needed. */
function method(
  path: string,
  requestStream: boolean,
  responseStream: boolean,
): grpc.MethodDefinition<Buffer, Buffer> {
  return {
    ...{ path: `/test.Echo/${path}`, requestStream, responseStream },
    ...{
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    },
  };
}

/** The methods. */
export const DEFINITION = {
  unary: method("Unary", false, false),
  count: method("Count", false, true),
  collect: method("Collect", true, false),
  chat: method("Chat", true, true),
  fail: method("Fail", false, false),
  hang: method("Hang", false, false),
  cancelled: method("Cancelled", false, false),
};

function serve(certPath: string, keyPath: string): void {
  /** Calls that a client gave up. */
  let cancelled = 0;
  const server = new grpc.Server({ "grpc.max_receive_message_length": MESSAGE_BYTES_MAX });
  server.addService(DEFINITION, {
    unary: (call: grpc.ServerUnaryCall<Buffer, Buffer>, reply: grpc.sendUnaryData<Buffer>) => {
      const trailer = new grpc.Metadata();
      trailer.set("seen", String(call.metadata.get("tag")[0]));
      reply(null, call.request, trailer);
    },
    count: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
      for (let i = 0; i < MESSAGES; i++) call.write(Buffer.from(`${i} ${call.request}`));
      call.end();
    },
    collect: (call: grpc.ServerReadableStream<Buffer, Buffer>, reply: grpc.sendUnaryData<Buffer>) => {
      const sum = createHash("sha256");
      call.on("data", (bytes: Buffer) => sum.update(bytes)).on("end", () => reply(null, sum.digest()));
    },
    chat: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      call.on("data", (bytes: Buffer) => call.write(bytes)).on("end", () => call.end());
    },
    fail: (_call: grpc.ServerUnaryCall<Buffer, Buffer>, reply: grpc.sendUnaryData<Buffer>) => {
      reply({ code: grpc.status.FAILED_PRECONDITION, details: "not today: ü" });
    },
    hang: (call: grpc.ServerUnaryCall<Buffer, Buffer>) => {
      call.on("cancelled", () => cancelled++);
    },
    cancelled: (_call: grpc.ServerUnaryCall<Buffer, Buffer>, reply: grpc.sendUnaryData<Buffer>) => {
      reply(null, Buffer.from(String(cancelled)));
    },
  });
  const credentials = grpc.ServerCredentials.createSsl(null, [{
    cert_chain: readFileSync(certPath),
    private_key: readFileSync(keyPath),
  }]);
  server.bindAsync("127.0.0.1:0", credentials, (error, port) => {
    if (error) throw error;
    process.stdout.write(`ready ${JSON.stringify({ port: String(port) })}\n`);
  });
}

if (import.meta.main) serve(process.argv[2] ?? "", process.argv[3] ?? "");
