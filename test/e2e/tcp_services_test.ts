/**
 * Real servers that speak no HTTP, with their own clients, through `--tcp`: PostgreSQL, Redis, MariaDB, MQTT and SSH.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  missingServer,
  type Server,
  type ServerKind,
  startMariadb,
  startMosquitto,
  startPostgres,
  startRedis,
  startSsh,
} from "../support/databases.ts";
import { type RunningProcess, useProcesses } from "../support/processes.ts";
import { admin, sumOf, TcpEnd, tcpPorts } from "./tcp_wall.ts";
import { CROSS, eventually, type RunningGateway, startAgent, startGateway, TEST_MS_MAX } from "./wall.ts";

const MIB = 1 << 20;
const COPY_BYTES = 50 * MIB;
const VALUE_BYTES = 20 * MIB;
const IDLE_MS = 1_500;

const processes = useProcesses();
const work = processes.folder("clients");

const STARTERS: Record<ServerKind, () => Promise<Server>> = {
  postgres: () => startPostgres(processes),
  redis: () => startRedis(processes),
  mariadb: () => startMariadb(processes),
  mosquitto: () => startMosquitto(processes),
  ssh: () => startSsh(processes),
};
const KINDS = Object.keys(STARTERS) as ServerKind[];
const missing = new Map(KINDS.map((kind) => [kind, missingServer(kind)]));
const present = KINDS.filter((kind) => missing.get(kind) === undefined);
const servers = {} as Record<ServerKind, Server>;

/** A test of one server, or its name with the reason why it is skipped. */
function testOf(kind: ServerKind, name: string, run: () => Promise<void>): void {
  const reason = missing.get(kind);
  const title = reason === undefined ? `${kind}: ${name}` : `${kind}: ${name} (skipped: ${reason})`;
  test.skipIf(reason !== undefined)(title, run, TEST_MS_MAX);
}

beforeAll(async () => {
  for (const kind of present) servers[kind] = await STARTERS[kind]();
  writeRows(join(work, "rows"));
  writeFileSync(join(work, "value"), randomBytes(VALUE_BYTES));
});
afterAll(async () => {
  // In order, so that a database's own children are gone before its folder is.
  await Promise.all(Object.values(servers).map((server) => server.process.stop("SIGINT")));
});

/** A table as COPY writes it: a number and a text that does not repeat. */
function writeRows(path: string): void {
  const noise = randomBytes(COPY_BYTES / 2).toString("hex");
  const lines: string[] = [];
  for (let at = 0; at < noise.length; at += 1000) {
    lines.push(`${lines.length + 1}\t${noise.slice(at, at + 1000)}\n`);
  }
  writeFileSync(path, lines.join(""));
}

function hashOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agent on ${agentRuntime}`, () => {
    let gateway: RunningGateway;
    let agent: RunningProcess;
    const ports = {} as Record<ServerKind, number>;

    beforeAll(async () => {
      gateway = await startGateway(processes, gatewayRuntime, {
        args: ["--admin", "127.0.0.1:0", ...present.flatMap((kind) => ["--tcp", `127.0.0.1:0=${kind}`])],
      });
      tcpPorts(gateway).forEach((port, index) => ports[present[index]!] = port);
      agent = await startAgent(processes, agentRuntime, gateway, {
        args: present.flatMap((kind) =>
          // Half of them by socket: the rest of the way is the same.
          kind === "redis"
            ? ["--serve", `redis=unix+tcp:${join(servers.redis.folder, "redis.sock")}`]
            : ["--serve", `${kind}=tcp://127.0.0.1:${servers[kind].port}`]
        ),
      });
    });
    afterAll(async () => {
      expect(await agent?.stop()).toMatchObject({ code: 0 });
      expect(await gateway?.process.stop()).toMatchObject({ code: 0 });
    });

    const psql = (...args: string[]): Promise<string> =>
      processes.run([
        ...[
          "psql",
          "-X",
          "-q",
          "-At",
          "-v",
          "ON_ERROR_STOP=1",
          "-h",
          "127.0.0.1",
          "-p",
          String(ports.postgres),
        ],
        ...["-U", "postgres", ...args],
      ], { cwd: work });

    testOf("postgres", "queries, errors and a table of 50 MB copied in and out", async () => {
      expect(await psql("-c", "select 6 * 7")).toBe("42\n");
      await expect(psql("-c", "select 1 / 0")).rejects.toThrow("division by zero");
      const table = `t_${gatewayRuntime}`;
      await psql("-c", `create table ${table} (id int primary key, v text)`);
      await psql("-c", `\\copy ${table} from 'rows'`);
      await psql("-c", `\\copy (select * from ${table} order by id) to 'rows.out'`);
      expect(statSync(join(work, "rows")).size).toBeGreaterThan(COPY_BYTES);
      expect(hashOf(join(work, "rows.out"))).toBe(hashOf(join(work, "rows")));
      // Counted at the server as well: both ways could be wrong alike.
      const counted = await psql("-c", `select count(*), sum(length(v)) from ${table}`);
      expect(counted).toBe(`${Math.ceil(COPY_BYTES / 1000)}|${COPY_BYTES}\n`);
    });

    testOf("postgres", "a notification reaches a client that has been silent", async () => {
      const client = await PostgresClient.connect(ports.postgres);
      await client.query("listen news");
      await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
      await psql("-c", "notify news, 'fresh'");
      expect(await client.notification()).toContain("news\0fresh\0");
      client.close();
    });

    const redis = (...args: string[]): Promise<string> =>
      processes.run(["redis-cli", "-h", "127.0.0.1", "-p", String(ports.redis), ...args], { cwd: work });

    testOf("redis", "small values and one of 20 MB", async () => {
      expect(await redis("set", "a", "b")).toBe("OK\n");
      expect(await redis("get", "a")).toBe("b\n");
      const command = `redis-cli -h 127.0.0.1 -p ${ports.redis}`;
      const script =
        `${command} -x set value < value && ${command} get value | head -c ${VALUE_BYTES} | sha256sum`;
      expect(await processes.run(["sh", "-c", script], { cwd: work })).toContain(hashOf(join(work, "value")));
      expect(await redis("strlen", "value")).toBe(`${VALUE_BYTES}\n`);
    });

    testOf("redis", "a message reaches a subscriber that has been silent", async () => {
      const subscriber = processes.start([
        ...["redis-cli", "-h", "127.0.0.1", "-p", String(ports.redis), "subscribe", "news"],
      ]);
      await subscriber.waitFor("stdout", /subscribe\nnews\n1/);
      await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
      expect(await redis("publish", "news", "fresh")).toBe("1\n");
      await subscriber.waitFor("stdout", /message\nnews\nfresh/);
      await subscriber.stop();
      // The server learns that the subscriber is gone.
      await eventually(() => redis("publish", "news", "x"), (count) => count === "0\n");
    });

    testOf("mariadb", "a server that speaks first: queries, many rows", async () => {
      const mariadb = (sql: string): Promise<string> =>
        processes.run([
          ...["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", String(ports.mariadb), "-u", "visitor"],
          ...["--skip-ssl", "-BN", "shop", "-e", sql],
        ]);
      const table = `t_${gatewayRuntime}`;
      await mariadb(`create table ${table} (id int primary key, v varchar(200))`);
      await mariadb(`insert into ${table} select seq, repeat(sha2(seq, 256), 3) from seq_1_to_20000`);
      expect(await mariadb(`select count(*), sum(length(v)) from ${table}`)).toBe("20000\t3840000\n");
      const rows = await mariadb(`select v from ${table} where id <= 500 order by id`);
      const wanted = Array.from(
        { length: 500 },
        (_, index) => `${createHash("sha256").update(String(index + 1)).digest("hex").repeat(3)}\n`,
      );
      expect(rows).toBe(wanted.join(""));
      await expect(mariadb("select nonsense")).rejects.toThrow("Unknown column");
    });

    testOf("mosquitto", "a subscriber gets what a publisher sends, up to a MiB", async () => {
      const at = ["-h", "127.0.0.1", "-p", String(ports.mosquitto), "-t", `news/${gatewayRuntime}`];
      const subscriber = processes.start([
        // Its output would wait in a buffer until it ends.
        ...["stdbuf", "-oL", "mosquitto_sub", ...at, "-d", "-q", "1", "-C", "1", "-F", "got %l %p"],
      ]);
      await subscriber.waitFor("stdout", /SUBACK/);
      await processes.run(["mosquitto_pub", ...at, "-q", "1", "-m", "fresh"]);
      await subscriber.waitFor("stdout", /got 5 fresh/);
      expect(await subscriber.exit).toMatchObject({ code: 0 });
      const large = join(work, "large");
      writeFileSync(large, randomBytes(MIB / 2).toString("hex"));
      const receiver = processes.start([
        "sh",
        "-c",
        `exec mosquitto_sub ${at.join(" ")} -q 1 -C 1 -N > received`,
      ], {
        cwd: work,
      });
      // It may not have subscribed yet: a retained message is there whenever it does.
      await processes.run(["mosquitto_pub", ...at, "-q", "1", "-r", "-f", large]);
      expect(await receiver.exit).toMatchObject({ code: 0 });
      expect(hashOf(join(work, "received"))).toBe(hashOf(large));
      await processes.run(["mosquitto_pub", ...at, "-q", "1", "-r", "-n"]);
    });

    testOf("ssh", "commands, their exit codes, and files both ways", async () => {
      const options = [
        ...["-F", "/dev/null", "-i", join(servers.ssh.folder, "identity"), "-o", "StrictHostKeyChecking=no"],
        ...["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"],
      ];
      const ssh = ["ssh", ...options, "-p", String(ports.ssh), "127.0.0.1"];
      expect(await processes.run([...ssh, "echo one; echo two"])).toBe("one\ntwo\n");
      expect(await processes.start([...ssh, "exit 7"]).exit).toMatchObject({ code: 7 });
      const hash = hashOf(join(work, "value"));
      const upload = `${ssh.join(" ")} sha256sum < value`;
      expect(await processes.run(["sh", "-c", upload], { cwd: work })).toContain(hash);
      const download = `${ssh.join(" ")} cat ${join(work, "value")} | sha256sum`;
      expect(await processes.run(["sh", "-c", download], { cwd: work })).toContain(hash);
      await processes.run([
        ...[
          "scp",
          ...options,
          "-P",
          String(ports.ssh),
          join(work, "value"),
          `127.0.0.1:${join(work, "copy")}`,
        ],
      ]);
      expect(hashOf(join(work, "copy"))).toBe(hash);
    });

    test("every connection is gone at both ends when its client is", async () => {
      await eventually(
        async () => sumOf(await admin(gateway), "netwall_streams"),
        (streams) => streams === 0,
      );
    }, TEST_MS_MAX);
  });
}

test("the servers that this machine has were tested", () => {
  expect([...missing].filter(([, reason]) => reason !== undefined && process.env["CI"])).toEqual([]);
});

/** As much of PostgreSQL's protocol as it takes to wait for a notification. Source: its manual, chapter 55. */
class PostgresClient {
  readonly #end: TcpEnd;

  private constructor(end: TcpEnd) {
    this.#end = end;
  }

  static async connect(port: number): Promise<PostgresClient> {
    const client = new PostgresClient(await TcpEnd.connect(port));
    const parameters = Buffer.from("user\0postgres\0\0");
    const head = Buffer.alloc(8);
    head.writeUInt32BE(8 + parameters.length, 0);
    // Version 3.0.
    head.writeUInt32BE(3 << 16, 4);
    client.#end.write(Buffer.concat([head, parameters]));
    await client.#until("Z");
    return client;
  }

  async query(sql: string): Promise<void> {
    const text = Buffer.from(`${sql}\0`);
    const head = Buffer.from("Q\0\0\0\0");
    head.writeUInt32BE(4 + text.length, 1);
    this.#end.write(Buffer.concat([head, text]));
    await this.#until("Z");
  }

  /** The next notification, as it stands in its message. */
  async notification(): Promise<string> {
    return (await this.#until("A")).toString("latin1");
  }

  close(): void {
    this.#end.destroy();
  }

  async #until(type: string): Promise<Buffer> {
    for (;;) {
      const head = await this.#end.take(5);
      if (head.length < 5) throw new Error("The server has closed the connection");
      const body = await this.#end.take(head.readUInt32BE(1) - 4);
      const got = String.fromCharCode(head[0]!);
      if (got === "E") throw new Error(`The server said: ${body.toString("latin1")}`);
      if (got === type) return body;
    }
  }
}
