/**
 * Bodies far larger than any window, and the memory that they may cost: nothing may be gathered on the way.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import net, { type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestAuthority } from "../support/certificates.ts";
import { HAS_NGINX, type Nginx, startNginx } from "../support/nginx.ts";
import { type RunningProcess, useProcesses } from "../support/processes.ts";
import { findBinary } from "../support/services.ts";
import { get, RawConnection, readHead } from "./raw.ts";
import { CROSS, eventually, portOf, residentBytes, startAgent, startGateway } from "./wall.ts";

const BODY_BYTES = 1 << 30;

/** What a process may grow by over its idle size: windows, buffers of sockets, and what its collector leaves lying. */
const GROWTH_BYTES_MAX = 96 << 20;

/** The same for the first large body of a process: V8 lets its heap grow before it collects in earnest. */
const FIRST_GROWTH_BYTES_MAX = 160 << 20;
const FIRST_BYTES = 256 << 20;

const SAMPLE_MS = 50;

/** A transfer takes a few seconds; a busy machine may take much longer. */
const TRANSFER_MS_MAX = 120_000;

const processes = useProcesses();
const curl = findBinary("curl");
const skip = !HAS_NGINX || curl === undefined;
const folder = mkdtempSync(join(tmpdir(), "netwall-big-"));
const upload = join(folder, "upload");
let nginx: Nginx | undefined;
let sink: Sink | undefined;
let authority: TestAuthority;

/** Takes any request, counts its body, and answers when it is whole; can be told not to read. */
class Sink {
  readonly #server: net.Server;
  readonly #sockets = new Set<Socket>();
  /** Of the last request. */
  bodyBytes = 0;
  reading = true;

  constructor() {
    this.#server = net.createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.once("data", (first) => {
        this.bodyBytes = first.length - (first.indexOf("\r\n\r\n") + 4);
        if (!this.reading) return void socket.pause();
        socket.on("data", (chunk) => {
          this.bodyBytes += chunk.length;
          if (this.bodyBytes === BODY_BYTES) socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        });
      });
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Runs something and gives how much each process grew at most meanwhile, in bytes. */
async function growth(watched: readonly RunningProcess[], work: () => Promise<void>): Promise<number[]> {
  const idle = watched.map(({ pid }) => residentBytes(pid));
  const most = [...idle];
  const sample = (): void =>
    watched.forEach(({ pid }, i) => most[i] = Math.max(most[i]!, residentBytes(pid)));
  const timer = setInterval(sample, SAMPLE_MS);
  try {
    await work();
    sample();
  } finally {
    clearInterval(timer);
  }
  return most.map((bytes, i) => bytes - idle[i]!);
}

beforeAll(async () => {
  authority = new TestAuthority();
  if (skip) return;
  nginx = await startNginx({ "big": "" });
  // Sparse: it has the size and takes no room.
  truncateSync(join(nginx.root, "big"), BODY_BYTES);
  writeFileSync(upload, "");
  truncateSync(upload, BODY_BYTES);
});

afterAll(async () => {
  await nginx?.stop();
  authority?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agent on ${agentRuntime}`, () => {
    const watched: RunningProcess[] = [];
    let http = "";
    let https = "";
    let port = 0;
    const it = (name: string, body: () => Promise<void>): void =>
      test.skipIf(skip)(name, body, TRANSFER_MS_MAX);

    beforeAll(async () => {
      if (skip) return;
      sink = new Sink();
      const sinkPort = await sink.listen();
      const pair = authority.leaf({ san: ["DNS:localhost"] });
      const gateway = await startGateway(processes, gatewayRuntime, {
        args: [
          ...["--https", "127.0.0.1:0", "--cert", pair.certPath, "--key", pair.keyPath],
          ...["--route", "*=files", "--route", "*/sink=sink"],
        ],
      });
      port = gateway.port;
      http = `http://localhost:${port}`;
      https = `https://localhost:${portOf(gateway.addresses["https"])}`;
      const files = `files=http://127.0.0.1:${nginx!.port}`;
      const agent = await startAgent(processes, agentRuntime, gateway, {
        args: ["--serve", files, "--serve", `sink=http://127.0.0.1:${sinkPort}`],
      });
      watched.push(gateway.process, agent);
    });
    afterAll(async () => {
      sink?.close();
      for (const each of watched) await each.stop();
    });

    const transfer = async (args: readonly string[]): Promise<string[]> => {
      const options = ["-sS", "-m", "110", "--cacert", join(authority.folder, "ca.pem"), "-o", "/dev/null"];
      const facts = ["-w", "%{http_code} %{size_download} %{size_upload}"];
      return (await processes.run([curl!, ...options, ...facts, ...args])).split(" ");
    };
    const expectBounded = (grown: readonly number[], bytesMax = GROWTH_BYTES_MAX): void => {
      expect(grown).toHaveLength(2);
      for (const bytes of grown) expect(bytes).toBeLessThanOrEqual(bytesMax);
    };
    const bases = [["HTTP", () => http], ["HTTPS", () => https]] as const;

    it("a first large body in bounded memory", async () => {
      const grown = await growth(watched, async () => {
        expect(await transfer(["-r", `0-${FIRST_BYTES - 1}`, `${http}/big`])).toEqual([
          "206",
          String(FIRST_BYTES),
          "0",
        ]);
      });
      expectBounded(grown, FIRST_GROWTH_BYTES_MAX);
    });

    for (const [name, base] of bases) {
      it(`1 GiB down over ${name} in bounded memory`, async () => {
        const grown = await growth(watched, async () => {
          expect(await transfer([`${base()}/big`])).toEqual(["200", String(BODY_BYTES), "0"]);
        });
        expectBounded(grown);
      });

      it(`1 GiB up over ${name} in bounded memory`, async () => {
        const grown = await growth(watched, async () => {
          const args = ["-T", upload, "-H", "Expect:", `${base()}/sink`];
          expect(await transfer(args)).toEqual(["200", "2", String(BODY_BYTES)]);
        });
        expect(sink?.bodyBytes).toBe(BODY_BYTES);
        expectBounded(grown);
      });
    }

    it("visitors who do not read hold nothing up, and little memory", async () => {
      const stalled: RawConnection[] = [];
      const grown = await growth(watched, async () => {
        for (let i = 0; i < 20; i++) {
          const visitor = await RawConnection.open(port);
          visitor.write(get("/big"));
          await readHead(visitor);
          visitor.socket.pause();
          stalled.push(visitor);
        }
        // Beside them others are served, at once.
        expect(await transfer(["-r", "0-99999999", `${http}/big`])).toEqual(["206", "100000000", "0"]);
      });
      for (const visitor of stalled) visitor.destroy();
      expectBounded(grown);
    });

    it("a target that does not read stops the upload", async () => {
      sink!.reading = false;
      const grown = await growth(watched, async () => {
        const child = processes.start([
          curl!,
          "-sS",
          "-m",
          "60",
          "-T",
          upload,
          "-H",
          "Expect:",
          `${http}/sink`,
        ]);
        const sent = (): number => bytesRead(child.pid);
        // It comes to rest far below the whole body.
        const rested = await eventually(async () => {
          const before = sent();
          await new Promise((resolve) => setTimeout(resolve, 500));
          return { before, last: sent() };
        }, (seen) => seen.before === seen.last && seen.last > 0);
        expect(rested.last).toBeLessThan(BODY_BYTES / 8);
        child.kill();
        await child.exit;
      });
      sink!.reading = true;
      expectBounded(grown);
    });
  });
}

/** What a process has read so far, from files and sockets. */
function bytesRead(pid: number): number {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1] ?? 0);
}
