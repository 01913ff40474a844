/**
 * Owners of sockets: who is found, who is not, and that names do no harm.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { socketOwners } from "../../lib/seal/owners.ts";
import { useProcesses } from "../support/processes.ts";
import { writeProc } from "./socket_tables.ts";

const processes = useProcesses();

test("socketOwners() finds this process, others, and nobody", async () => {
  const proc = writeProc(processes.folder("proc"), {
    processes: {
      1: { name: "init", links: ["/dev/null", "socket:[100]", "pipe:[104]"] },
      42: { name: "agent", links: ["socket:[101]"] },
      7: { name: "nginx", links: ["socket:[102]", "socket:[103]"] },
      // Holds what others hold, with a higher id: the others count.
      99: { name: "late", links: ["socket:[101]", "socket:[102]", "socket:[0]"] },
    },
  });
  const owners = await socketOwners(proc, [100, 101, 102, 103, 104, 0]);
  expect(Object.fromEntries(owners)).toEqual({
    0: { kind: "unknown" },
    100: { kind: "process", pid: 1, name: "init" },
    101: { kind: "agent" },
    102: { kind: "process", pid: 7, name: "nginx" },
    103: { kind: "process", pid: 7, name: "nginx" },
    104: { kind: "unknown" },
  });
});

test("socketOwners() takes no link for a socket that is none", async () => {
  const links = [
    "socket:[1x]",
    "xsocket:[12]",
    "socket:[12]x",
    "socket:12",
    "anon_inode:[eventfd]",
    "socket:[]",
  ];
  const proc = writeProc(processes.folder("proc"), { processes: { 5: { name: "x", links } } });
  expect(Object.fromEntries(await socketOwners(proc, [1, 12]))).toEqual({
    1: { kind: "unknown" },
    12: { kind: "unknown" },
  });
});

test("socketOwners() escapes names, and does without", async () => {
  const proc = writeProc(processes.folder("proc"), {
    processes: {
      5: { name: "\u001b[2J\nok\u202e", links: ["socket:[1]"] },
      6: { name: "", links: ["socket:[2]"] },
      7: { name: "gone", links: ["socket:[3]"] },
      8: { name: "bytes", links: ["socket:[4]"] },
    },
  });
  rmSync(join(proc, "7", "comm"));
  writeFileSync(join(proc, "8", "comm"), new Uint8Array([0xff, 0x41, 0x0a]));
  const owners = await socketOwners(proc, [1, 2, 3, 4]);
  expect([...owners.values()]).toEqual([
    { kind: "process", pid: 5, name: "\\u001b[2J\\nok\\u202e" },
    { kind: "process", pid: 6, name: "?" },
    { kind: "process", pid: 7, name: "?" },
    { kind: "process", pid: 8, name: "\ufffdA" },
  ]);
});

test("socketOwners() knows nobody where there is no proc, and passes what is no process", async () => {
  const folder = processes.folder("proc");
  expect([...await socketOwners(join(folder, "none"), [1])]).toEqual([[1, { kind: "unknown" }]]);
  const proc = writeProc(folder, { processes: { 12: { name: "here", links: ["socket:[1]"] } } });
  // A process that ended since, one with a file in place of its folder, and names that are no id.
  for (const name of ["3", "007", "1e1", "self2"]) writeFileSync(join(proc, name), "");
  expect([...await socketOwners(proc, [1])]).toEqual([[1, { kind: "process", pid: 12, name: "here" }]]);
});

test("socketOwners() lets other work go on between 2,000 processes", async () => {
  const folder = processes.folder("proc");
  const many = Object.fromEntries(
    Array.from({ length: 2_000 }, (_, at) => [at + 100, { name: "p", links: [`socket:[${at + 1}]`] }]),
  );
  const proc = writeProc(folder, { processes: many });
  let turns = 0;
  const timer = setInterval(() => turns += 1, 1);
  const owners = await socketOwners(proc, [2_000, 99_999]);
  clearInterval(timer);
  expect(owners.get(2_000)).toEqual({ kind: "process", pid: 2_099, name: "p" });
  expect(owners.get(99_999)).toEqual({ kind: "unknown" });
  expect(turns).toBeGreaterThan(2);
});

test("socketOwners() finds a listener of this very process", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  try {
    const { auditWall } = await import("../../lib/seal/wall.ts");
    const address = server.address();
    const port = address !== null && typeof address === "object" ? address.port : -1;
    const { listeners } = await auditWall();
    expect(listeners.find((each) => each.port === port && each.protocol === "tcp"))
      .toMatchObject({ address: "127.0.0.1", reach: "loopback", owner: { kind: "agent" } });
  } finally {
    server.close();
  }
});
