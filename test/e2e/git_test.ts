/**
 * git over HTTP through the wall: chunked uploads with compressed bodies, long answers, and a protocol that notices
 * every wrong byte.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { useProcesses } from "../support/processes.ts";
import { findBinary } from "../support/services.ts";
import { CROSS, type RunningGateway, startAgent, startGateway, TEST_MS_MAX } from "./wall.ts";

const BACKEND = "/usr/lib/git-core/git-http-backend";
const BLOB_BYTES = 3 << 20;

const processes = useProcesses();
const git = existsSync(BACKEND) ? findBinary("git") : undefined;
const root = processes.folder("git");
let server: Server;

/** The little of CGI that git needs. Source: RFC 3875. */
function serveGit(incoming: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(incoming.url ?? "/", "http://localhost");
  const { headers } = incoming;
  const child = spawn(BACKEND, {
    env: {
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: pathname,
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: incoming.method ?? "GET",
      REMOTE_USER: "visitor",
      REMOTE_ADDR: "127.0.0.1",
      ...(headers["content-type"] ? { CONTENT_TYPE: headers["content-type"] } : {}),
      ...(headers["content-length"] ? { CONTENT_LENGTH: headers["content-length"] } : {}),
      ...(headers["content-encoding"] ? { HTTP_CONTENT_ENCODING: headers["content-encoding"] } : {}),
      ...(headers["git-protocol"] ? { GIT_PROTOCOL: String(headers["git-protocol"]) } : {}),
    },
  });
  incoming.pipe(child.stdin);
  child.stdin.on("error", () => {});
  let head = Buffer.alloc(0);
  child.stdout.on("data", (chunk: Buffer) => {
    if (response.headersSent) return void response.write(chunk);
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    for (const line of head.subarray(0, end).toString().split("\r\n")) {
      const colon = line.indexOf(":");
      const [name, value] = [line.slice(0, colon), line.slice(colon + 1).trim()];
      if (name.toLowerCase() === "status") response.statusCode = Number(value.split(" ", 1)[0]);
      else response.setHeader(name, value);
    }
    response.write(head.subarray(end + 4));
  });
  child.stdout.on("end", () => response.end());
}

beforeAll(async () => {
  server = createServer(serveGit);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(() => {
  server?.closeAllConnections();
  server?.close();
});

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agent on ${agentRuntime}`, () => {
    let gateway: RunningGateway;

    beforeAll(async () => {
      gateway = await startGateway(processes, gatewayRuntime, { args: ["--route", "*=git"] });
      await startAgent(processes, agentRuntime, gateway, {
        args: ["--serve", `git=http://127.0.0.1:${(server.address() as AddressInfo).port}`],
      });
    });
    afterAll(async () => {
      await gateway?.process.stop();
    });

    test.skipIf(git === undefined)("push, clone and fetch give the same objects", async () => {
      const work = processes.folder("work");
      // Nothing of the user's own settings, and no question on a terminal.
      const env = {
        HOME: work,
        GIT_CONFIG_NOSYSTEM: "1",
        GIT_TERMINAL_PROMPT: "0",
        GIT_AUTHOR_NAME: "a",
        GIT_AUTHOR_EMAIL: "a@a.test",
        GIT_COMMITTER_NAME: "a",
        GIT_COMMITTER_EMAIL: "a@a.test",
      };
      const run = (cwd: string, ...args: string[]): Promise<string> =>
        processes.run([git!, ...args], { cwd, env });
      const name = `${gatewayRuntime}.git`;
      await run(work, "init", "-q", "--bare", join(root, name));
      await run(join(root, name), "config", "http.receivepack", "true");
      const url = `http://127.0.0.1:${gateway.port}/${name}`;

      const source = join(work, "source");
      await run(work, "init", "-q", "-b", "main", source);
      mkdirSync(join(source, "folder"));
      const blob = randomBytes(BLOB_BYTES);
      writeFileSync(join(source, "blob"), blob);
      for (let i = 0; i < 200; i++) {
        writeFileSync(join(source, "folder", `file-${i}`), `line ${i}\n`.repeat(i));
      }
      await run(source, "add", ".");
      await run(source, "commit", "-q", "-m", "first");
      // A pack over http.postBuffer (1 MiB) goes out chunked.
      await run(source, "push", "-q", url, "main");

      const clone = join(work, "clone");
      await run(work, "clone", "-q", "-b", "main", url, clone);
      await run(clone, "fsck", "--full", "--strict");
      expect(readFileSync(join(clone, "blob")).equals(blob)).toBe(true);

      writeFileSync(join(source, "more"), randomBytes(10_000));
      await run(source, "add", ".");
      await run(source, "commit", "-q", "-m", "second");
      await run(source, "push", "-q", url, "main");
      await run(clone, "pull", "-q", "--ff-only");
      const heads = await Promise.all([source, clone].map((folder) => run(folder, "rev-parse", "HEAD")));
      expect(heads[0]).toBe(heads[1]!);
      const shallow = join(work, "shallow");
      await run(work, "clone", "-q", "--depth", "1", "-b", "main", url, shallow);
      expect(await run(shallow, "rev-list", "--count", "HEAD")).toBe("1\n");
      await run(join(root, name), "fsck", "--full", "--strict");
      // A question in the protocol that is wrong gets git's own answer, not one of the wall.
      await expect(run(work, "clone", "-q", `${url}-missing`, join(work, "none"))).rejects.toThrow(
        "not found",
      );
    }, TEST_MS_MAX);
  });
}
