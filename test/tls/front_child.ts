/**
 * A front with its inner server, to be run as a process of its own so that its memory can be measured.
 *
 * Arguments: paths of the certificate and the key. Prints one line of JSON once it serves.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { TlsFront } from "../../lib/tls/front.ts";

const [certPath, keyPath] = process.argv.slice(2);
const pair = { cert: readFileSync(certPath!, "utf8"), key: readFileSync(keyPath!, "utf8") };

/** Answers with as many bytes as the path says, as fast as they are taken; `/RSS` is this process's memory. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const [, what, amount] = request.url!.split("/");
  if (what === "rss") {
    response.end(String(process.memoryUsage().rss));
  } else if (what === "stall") {
    // Never reads: the visitor must be made to stop.
    setTimeout(() => request.resume(), 60_000).unref();
  } else if (what === "sink") {
    let bytes = 0;
    request.on("data", (chunk: Uint8Array) => void (bytes += chunk.length));
    request.on("end", () => response.end(String(bytes)));
  } else {
    sendBytes(response, Number(amount));
  }
}

function sendBytes(response: ServerResponse, bytes: number): void {
  const chunk = new Uint8Array(64 << 10).fill(120);
  response.writeHead(200, { "Content-Length": bytes });
  let left = bytes;
  const send = (): void => {
    while (left > 0) {
      const part = left < chunk.length ? chunk.subarray(0, left) : chunk;
      left -= part.length;
      if (!response.write(part)) {
        response.once("drain", send);
        return;
      }
    }
    response.end();
  };
  send();
}

const inner = createServer({ requestTimeout: 0 }, answer);
await new Promise<void>((resolve) => inner.listen(0, "127.0.0.1", resolve));
const front = await TlsFront.listen({
  host: "127.0.0.1",
  port: 0,
  innerPort: (inner.address() as AddressInfo).port,
  certificateFor: () => pair,
});
process.stdout.write(JSON.stringify({ port: front.port }) + "\n");
