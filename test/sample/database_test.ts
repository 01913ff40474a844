/**
 * The database of the sample: what it knows, what it takes, and that nobody fills it.
 *
 * @module
 */
import { connect, type Socket } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { askDatabase, CUSTOMERS, type Database, startDatabase } from "../../lib/sample/database.ts";

const folder = mkdtempSync(join(tmpdir(), "netwall-sample-"));
const path = join(folder, "db.sock");
let database: Database;

beforeAll(async () => {
  database = await startDatabase(path);
});
afterAll(() => {
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

test("it knows its customers and nobody else", async () => {
  expect(await askDatabase(path, "PING")).toBe("PONG");
  expect(await askDatabase(path, "GET user:1")).toBe("Customer 1");
  expect(await askDatabase(path, `GET user:${CUSTOMERS}`)).toBe(`Customer ${CUSTOMERS}`);
  for (const key of ["user:0", `user:${CUSTOMERS + 1}`, "user:01", "user:1x", "user:", "session:1"]) {
    expect([key, await askDatabase(path, `GET ${key}`)]).toEqual([key, undefined]);
  }
});

test("what is set is there, words and all, until a thousand more were set", async () => {
  expect(await askDatabase(path, "SET session:a two words")).toBe("OK");
  expect(await askDatabase(path, "GET session:a")).toBe("two words");
  const socket = await open();
  socket.write(Array.from({ length: 1_000 }, (_, i) => `SET more:${i} x\r\n`).join(""));
  await bytesOf(socket, 1_000 * "+OK\r\n".length);
  socket.destroy();
  expect(await askDatabase(path, "GET session:a")).toBeUndefined();
  expect(await askDatabase(path, "GET more:999")).toBe("x");
  expect(await askDatabase(path, "GET user:1")).toBe("Customer 1");
});

test("an unknown command is told so, and a line without end ends the connection", async () => {
  await expect(askDatabase(path, "FLUSHALL")).rejects.toThrow("unknown command");
  const socket = await open();
  socket.write("x".repeat(2_000));
  await closed(socket);
});

test("a command may come in pieces, and connections beyond the bound are not served", async () => {
  const socket = await open();
  socket.write("GET us");
  await new Promise((resolve) => socket.write("er:2\r", resolve));
  socket.write("\n");
  expect(await bytesOf(socket, 8)).toMatch(/^\$10\r\n/);
  socket.destroy();
  await closed(socket);
  const sockets = await Promise.all(Array.from({ length: 80 }, open));
  let refused = 0;
  for (const each of sockets) each.once("close", () => refused++);
  // The last ones are refused in the order in which they came.
  await closed(sockets[79]!);
  expect(refused).toBeGreaterThan(0);
  expect(refused).toBeLessThanOrEqual(17);
  for (const each of sockets) each.destroy();
});

test("there is nobody to ask after its end", async () => {
  const other = join(folder, "other.sock");
  const short = await startDatabase(other);
  expect(await askDatabase(other, "PING")).toBe("PONG");
  short.close();
  await expect(askDatabase(other, "PING")).rejects.toThrow();
  await expect(startDatabase(join(folder, "no", "such.sock"))).rejects.toThrow();
});

function open(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject).on("error", () => {});
      resolve(socket);
    });
  });
}

function bytesOf(socket: Socket, count: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (text.length >= count) resolve(text);
    });
    socket.once("close", () => reject(new Error(`Only ${text.length} bytes came`)));
  });
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) return resolve();
    socket.once("close", () => resolve());
    socket.resume();
  });
}
