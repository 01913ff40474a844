/**
 * A target that takes any request body, throws it away and answers with its size: what uploads are measured with.
 *
 * @module
 */
import { createServer } from "node:http";
import process from "node:process";

const server = createServer({ requestTimeout: 0 }, (request, response) => {
  let bytes = 0;
  request.on("data", (chunk: Uint8Array) => bytes += chunk.byteLength);
  request.on("end", () => response.end(JSON.stringify({ bytes })));
  // A body that was cut off gets no answer: the client must see the failure.
  request.on("error", () => response.destroy());
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address === null || typeof address !== "object") throw new Error("The listener has no address");
  process.stdout.write(`ready {"http":"127.0.0.1:${address.port}"}\n`);
});
process.on("SIGTERM", () => process.exit(0));
