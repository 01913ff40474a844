/**
 * Tables of sockets: addresses, which sockets listen, and that no strange line is skipped in silence.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  LINE_CHARS_MAX,
  type ListeningSocket,
  parseSocketLine,
  SOCKET_TABLES,
  type SocketProtocol,
  SocketTableReader,
} from "../../lib/seal/listeners.ts";
import { header, HEX, line, table } from "./socket_tables.ts";

/** Lines as Linux 6.18 wrote them, with what they mean; "other" is a socket that does not listen. */
const REAL: readonly [SocketProtocol, string, Partial<ListeningSocket> | "other"][] = [
  [
    "tcp",
    "   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1458 1 00000000bee8634d 100 0 0 10 0                      ",
    { address: "0.0.0.0", port: 2024, loopback: false, inode: 1458, uid: 0 },
  ],
  [
    "tcp",
    "   1: 0100007F:1F90 00000000:0000 0A 00000000:00000005 00:00000000 00000000 65532        0 88123 1 0000000000000000 100 0 0 10 0                     ",
    { address: "127.0.0.1", port: 8080, loopback: true, inode: 88123, uid: 65532 },
  ],
  // Established, with a timer that runs; and one that waits for its last packets, which has a shorter tail.
  [
    "tcp",
    "  12: 0100007F:B4D6 0100007F:1F90 01 00000000:00000000 02:000005FB 00000000  1000        0 5645021 2 0000000012345678 20 4 30 10 -1                 ",
    "other",
  ],
  [
    "tcp",
    " 301: 0100007F:1F90 0100007F:B4C8 06 00000000:00000000 03:00001516 00000000     0        0 0 3 00000000c6a1b7f5                                      ",
    "other",
  ],
  [
    "tcp6",
    "   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9 1 00000000bee8634d 100 0 0 10 0",
    { address: "::", port: 443, loopback: false, inode: 9 },
  ],
  [
    "udp",
    " 1234: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 20111 2 000000007a3c0b2d 0        ",
    { address: "0.0.0.0", port: 68, loopback: false, uid: 101 },
  ],
  [
    "udp",
    " 1235: 0100007F:A3C1 0100007F:0035 01 00000000:00000000 00:00000000 00000000   101        0 20112 2 000000007a3c0b2d 0        ",
    "other",
  ],
  [
    "raw",
    "    1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 30001 2 000000007a3c0b2d 0",
    { address: "0.0.0.0", port: 1, loopback: false },
  ],
  [
    "raw6",
    "   58: 00000000000000000000000000000000:003A 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 30002 2 000000007a3c0b2d 0",
    { address: "::", port: 58, loopback: false },
  ],
];

/** Hex of the kernel, canonical text, and whether it is loopback. */
const ADDRESSES: readonly [string, string, boolean][] = [
  ["00000000", "0.0.0.0", false],
  ["0100007F", "127.0.0.1", true],
  ["FFFFFF7F", "127.255.255.255", true],
  ["01000080", "128.0.0.1", false],
  ["FFFFFF7E", "126.255.255.255", false],
  // 1.0.0.127, which is 127.0.0.1 read the wrong way round.
  ["7F000001", "1.0.0.127", false],
  ["0A0200C0", "192.0.2.10", false],
  [HEX.any6, "::", false],
  [HEX.loopback6, "::1", true],
  ["00000000000000000000000000000001", "::100:0", false],
  [HEX.mapped127, "::ffff:127.0.0.1", true],
  ["0000000000000000FFFF0000FE00007F", "::ffff:127.0.0.254", true],
  [HEX.mappedAny, "::ffff:0.0.0.0", false],
  ["0000000000000000FFFF00000A0200C0", "::ffff:192.0.2.10", false],
  // IPv4-compatible, deprecated: no loopback.
  ["0000000000000000000000000100007F", "::7f00:1", false],
  ["00000000000000000000FFFF0100007F", "::ffff:0:7f00:1", false],
  ["0000000001000000FFFF00000100007F", "::1:0:ffff:7f00:1", false],
  ["000080FE00000000FF00FC000100FEFF", "fe80::fc:ff:fffe:1", false],
  ["B80D0120000000000000000001000000", "2001:db8::1", false],
  ["B80D0120010000000100000001000000", "2001:db8:0:1:0:1:0:1", false],
  ["B80D0120000001000000010001000000", "2001:db8:1:0:1::1", false],
  ["B80D01200100010001000100B80D0120", "2001:db8:1:1:1:1:2001:db8", false],
  ["B80D0120000000000100000000000000", "2001:db8::1:0:0", false],
  // Two runs of equal length: the first is shortened.
  ["B80D0120000000000000010001000000", "2001:db8::1:0:0:1", false],
];

/** A good line of TCP, and what makes it a bad one. */
const GOOD = line("tcp", { address: HEX.any4, port: 8080 });
const BAD: readonly [string, string][] = [
  ["nothing", ""],
  ["spaces", "   "],
  ["garbage", "who knows"],
  ["cut in the address", GOOD.slice(0, 12)],
  ["cut in the queues", GOOD.slice(0, 40)],
  ["cut before the inode", GOOD.slice(0, GOOD.indexOf("4711"))],
  ["an address of IPv6", line("tcp", { address: HEX.any6, port: 8080 })],
  ["a peer of IPv6", line("tcp", { address: HEX.any4, port: 8080, peer: HEX.any6 })],
  ["small letters", GOOD.replace("1F90", "1f90")],
  ["no slot", GOOD.slice(6)],
  ["a slot that is no number", GOOD.replace("   0:", "   x:")],
  ["text in front", `x ${GOOD}`],
  ["an address of 9 digits", GOOD.replace("00000000:1F90", "000000000:1F90")],
  ["a port of 5 digits", GOOD.replace(":1F90", ":01F90")],
  ["a state of 3 digits", GOOD.replace(" 0A ", " 00A ")],
  ["a uid below zero", GOOD.replace("    0        0 4711", "   -1        0 4711")],
  ["an inode that is no number", GOOD.replace(" 4711 ", " 47x1 ")],
  ["an inode past 15 digits", GOOD.replace(" 4711 ", " 1234567890123456 ")],
  ["a carriage return", `${GOOD}\r`],
  ["a second line", `${GOOD}\n${GOOD}`],
  ["a NUL", GOOD.replace(" 100 ", " \u0000 ")],
  ["a tail of other characters", `${GOOD.trimEnd()} \u00e4`],
  ["a tail that is not set off", GOOD.replace(" 4711 ", " 4711x ")],
  ["too long", GOOD.padEnd(LINE_CHARS_MAX + 1)],
  ["two in one", `${GOOD.trimEnd()} ${GOOD.trimStart()}`],
];

function read(
  protocol: SocketProtocol,
  chunks: readonly string[],
): { sockets: ListeningSocket[]; wrong: string | undefined } {
  const sockets: ListeningSocket[] = [];
  const reader = new SocketTableReader(protocol, (socket) => sockets.push(socket));
  for (const chunk of chunks) reader.push(chunk);
  return { sockets, wrong: reader.end() };
}

describe("parseSocketLine()", () => {
  test("reads what Linux writes", () => {
    let checked = 0;
    for (const [protocol, text, meaning] of REAL) {
      const socket = parseSocketLine(protocol, text);
      if (meaning === "other") expect(socket).toBe("other");
      else expect(socket).toMatchObject({ protocol, ...meaning });
      checked += 1;
    }
    expect(checked).toBe(9);
  });

  test("writes addresses in canonical form and knows loopback", () => {
    let checked = 0;
    for (const [address, text, loopback] of ADDRESSES) {
      const protocol = address.length === 8 ? "tcp" : "tcp6";
      const socket = parseSocketLine(protocol, line(protocol, { address, port: 1 }));
      expect(socket).toMatchObject({ address: text, loopback });
      checked += 1;
    }
    expect(checked).toBe(24);
  });

  test("agrees with the URL standard on every IPv6 address that is not mapped", () => {
    const groups = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
      minLength: 8,
      maxLength: 8,
    });
    fc.assert(fc.property(groups, (parts) => {
      const hex = parts.map((part) => part.toString(16).padStart(4, "0")).join("");
      const words = hex.match(/.{8}/g) ?? [];
      const address = words.map((word) => (word.match(/../g) ?? []).reverse().join("")).join("")
        .toUpperCase();
      const socket = parseSocketLine("tcp6", line("tcp6", { address, port: 1 }));
      if (socket === undefined || socket === "other") throw new Error("no listener");
      if (socket.address.startsWith("::ffff:") && socket.address.includes(".")) return;
      const url = new URL(`http://[${parts.map((part) => part.toString(16)).join(":")}]/`);
      expect(`[${socket.address}]`).toBe(url.hostname);
    }));
  });

  test("takes TCP in the state LISTEN alone", () => {
    let listening = 0;
    for (let state = 0; state <= 0xff; state += 1) {
      const hex = state.toString(16).toUpperCase().padStart(2, "0");
      const socket = parseSocketLine("tcp", line("tcp", { address: HEX.any4, port: 80, state: hex }));
      expect(socket).toBeDefined();
      if (socket !== "other") listening += 1;
    }
    expect(listening).toBe(1);
  });

  test("takes UDP and raw sockets that have no peer address, whatever their state", () => {
    let checked = 0;
    for (const protocol of SOCKET_TABLES.filter((each) => !each.startsWith("tcp"))) {
      const [address, peer] = protocol.endsWith("6") ? [HEX.any6, HEX.loopback6] : [HEX.any4, HEX.loopback4];
      for (const state of ["01", "07"]) {
        const open = parseSocketLine(protocol, line(protocol, { address, port: 53, state }));
        expect(open).toMatchObject({ protocol, port: 53, loopback: false });
        // A peer port without an address keeps nobody out.
        expect(parseSocketLine(protocol, line(protocol, { address, port: 53, peerPort: 9, state })))
          .toMatchObject({ protocol });
        expect(parseSocketLine(protocol, line(protocol, { address, port: 53, peer, peerPort: 9, state })))
          .toBe("other");
        checked += 1;
      }
    }
    expect(checked).toBe(12);
  });

  test("refuses every other shape", () => {
    expect(parseSocketLine("tcp", GOOD)).toMatchObject({ port: 8080 });
    let checked = 0;
    for (const [what, text] of BAD) {
      expect({ what, socket: parseSocketLine("tcp", text) }).toEqual({ what, socket: undefined });
      checked += 1;
    }
    expect(checked).toBe(25);
    expect(parseSocketLine("tcp6", GOOD)).toBeUndefined();
  });

  test("never throws, and is done soon with lines made to be slow", () => {
    const anyLine = fc.oneof(
      fc.string({ unit: "binary", maxLength: 300 }),
      fc.string({ unit: fc.constantFrom(..."0AF: -()\t"), maxLength: 300 }),
      fc.tuple(fc.nat(GOOD.length - 1), fc.string({ unit: "binary", maxLength: 3 })).map(([at, text]) =>
        GOOD.slice(0, at) + text + GOOD.slice(at + 1)
      ),
    );
    fc.assert(fc.property(fc.constantFrom(...SOCKET_TABLES), anyLine, (protocol, text) => {
      parseSocketLine(protocol, text);
      read(protocol, [text, "\n", text]);
    }));
    const slow = [`${GOOD.trimEnd()}${" ".repeat(300)}x!`, `${GOOD.trimEnd()} ${"1 ".repeat(150)}!`];
    for (const text of slow) expect(parseSocketLine("tcp", text)).toBeUndefined();
  });
});

describe("SocketTableReader", () => {
  test("finds the same in chunks of any size", () => {
    const lines = [8080, 8081, 8082].map((port) =>
      line("tcp6", { address: HEX.any6, port, inode: port + 1 })
    );
    const other = line("tcp6", { address: HEX.any6, port: 1, state: "01" });
    const text = table("tcp6", [...lines, other]);
    for (let size = 1; size < 400; size += 7) {
      const chunks = text.match(new RegExp(`[\\s\\S]{1,${size}}`, "g")) ?? [];
      const { sockets, wrong } = read("tcp6", chunks);
      expect(sockets.map(({ port, inode }) => [port, inode])).toEqual([[8080, 8081], [8081, 8082], [
        8082,
        8083,
      ]]);
      expect(wrong).toBeUndefined();
    }
  });

  test("takes the header of every table, and a table without sockets", () => {
    let checked = 0;
    for (const protocol of SOCKET_TABLES) {
      expect(read(protocol, [table(protocol, [])])).toEqual({ sockets: [], wrong: undefined });
      checked += 1;
    }
    expect(checked).toBe(8);
  });

  test("says what is wrong, and reads on", () => {
    const good = table("tcp", [GOOD]);
    const cases: readonly [string, string, number][] = [
      ["", "it is empty", 0],
      [`${GOOD}\n`, "the header is not the one expected", 0],
      [`\n${good}`, "the header is not the one expected", 1],
      [`${header("tcp")}\n\n${GOOD}\n`, 'line 2 has another shape: ""', 1],
      [table("tcp", [GOOD, "\u001b[2J", GOOD]), 'line 3 has another shape: "\\u001b[2J"', 2],
      [table("tcp", ["x", GOOD, "y", "z"]), 'line 2 has another shape: "x", and 2 more like it', 1],
      [`${good}${GOOD.slice(0, 70)}`, "the last line is cut off", 1],
      [`${good}${GOOD}`, "the last line is cut off", 1],
      [header("tcp"), "the last line is cut off", 0],
    ];
    let checked = 0;
    for (const [text, message, count] of cases) {
      const { sockets, wrong } = read("tcp", [text]);
      expect(wrong).toContain(message);
      expect(sockets).toHaveLength(count);
      checked += 1;
    }
    expect(checked).toBe(9);
  });

  test("a line without end is bad, and what follows it is read", () => {
    const endless = Array.from({ length: 1_000 }, () => "0".repeat(1_000));
    const { sockets, wrong } = read("tcp", [`${header("tcp")}\n`, ...endless, `\n${GOOD}\n`]);
    expect(wrong).toContain("line 2 has another shape");
    expect((wrong ?? "").length).toBeLessThan(200);
    expect(sockets).toHaveLength(1);
    expect(read("tcp", [`${header("tcp")}\n`, ...endless]).wrong).toContain("cut off");
  });

  test("reads 10,000 lines", () => {
    const lines = Array.from({ length: 10_000 }, (_, at) => {
      return line("tcp", { address: at % 2 === 0 ? HEX.any4 : HEX.loopback4, port: at, inode: at + 1 });
    });
    const { sockets, wrong } = read("tcp", [table("tcp", lines)]);
    expect(wrong).toBeUndefined();
    expect(sockets.length).toBe(10_000);
    expect(sockets.filter(({ loopback }) => loopback).length).toBe(5_000);
    expect(sockets[9_999]).toMatchObject({ port: 9_999, inode: 10_000, address: "127.0.0.1" });
  });
});
