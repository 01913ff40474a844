/**
 * Doors of an agent: loopback and unix sockets, and nothing that could be reached from outside, however it is spelled.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import net from "node:net";
import fc from "fast-check";
import { UNIX_PATH_BYTES_MAX } from "../../lib/config/addresses.ts";
import {
  type DoorAddress,
  formatDoorAddress,
  parseDoorAddress,
  proxyProtocol,
  serviceDoor,
} from "../../lib/config/door.ts";
import { ValueError } from "../../lib/config/units.ts";

describe("parseDoorAddress()", () => {
  test("reads every form, and formats it back", () => {
    const cases: [string, DoorAddress, string?][] = [
      ["127.0.0.1:5432", { kind: "tcp", host: "127.0.0.1", port: 5432 }],
      ["127.0.0.1:0", { kind: "tcp", host: "127.0.0.1", port: 0 }],
      ["127.255.255.254:65535", { kind: "tcp", host: "127.255.255.254", port: 65_535 }],
      ["localhost:1", { kind: "tcp", host: "127.0.0.1", port: 1 }, "127.0.0.1:1"],
      ["LocalHost:1", { kind: "tcp", host: "127.0.0.1", port: 1 }, "127.0.0.1:1"],
      ["[::1]:3128", { kind: "tcp", host: "::1", port: 3128 }],
      ["unix:/run/egress.sock", { kind: "unix", path: "/run/egress.sock" }],
      ["unix:egress.sock", { kind: "unix", path: "egress.sock" }],
    ];
    for (const [text, address, formatted] of cases) {
      expect(parseDoorAddress(text)).toEqual(address);
      expect(formatDoorAddress(parseDoorAddress(text))).toBe(formatted ?? text);
    }
    expect(cases).toHaveLength(8);
  });

  test("refuses everything else", () => {
    const outside = /could be reached from outside, and an agent opens no port .*: write 127\.0\.0\.1:PORT/;
    const cases: [string, RegExp][] = [
      ["0.0.0.0:5432", outside],
      [":5432", outside],
      ["*:5432", outside],
      ["[::]:5432", outside],
      ["10.0.0.1:5432", outside],
      ["126.255.255.255:1", outside],
      ["128.0.0.1:1", outside],
      ["[fe80::1]:1", outside],
      ["[::ffff:127.0.0.1]:1", outside],
      ["[::ffff:10.0.0.1]:1", outside],
      ["[0:0:0:0:0:0:0:1]:1", outside],
      ["example.com:1", outside],
      ["localhost.:1", outside],
      ["localhost.example.com:1", outside],
      ["ip6-localhost:1", outside],
      // Resolvers read these as addresses, or ask a name server for them.
      ["127.1:1", outside],
      ["127.0.0.01:1", outside],
      ["127.0.0.08:1", outside],
      ["127.00.0.1:1", outside],
      ["0x7f.0.0.1:1", outside],
      ["2130706433:1", outside],
      ["127.0.0.256:1", outside],
      ["127.0.0.1.:1", outside],
      ["127.0.0.1 :1", outside],
      ["5432", /is a port alone: write 127\.0\.0\.1:5432$/],
      ["127.0.0.1", /is no address of a door: write/],
      ["127.0.0.1:", /is no address of a door/],
      ["127.0.0.1:-1", /is no address of a door/],
      ["127.0.0.1:1 ", /is no address of a door/],
      ["127.0.0.1:1\n", /is no address of a door/],
      ["127.0.0.1:1:2", /is no address of a door/],
      ["127.0.0.1:65536", /^port 65536 is too large: at most 65535/],
      ["[127.0.0.1]:1", /is no address of a door/],
      ["[::1%lo]:1", /is no address of a door/],
      ["::1:5432", /is no address of a door/],
      ["[::1]", /is no address of a door/],
      ["http://127.0.0.1:1", /is no address of a door/],
      ["off", /is no address of a door/],
      ["", /is no address of a door/],
      ["unix:", /names no path/],
      ["unix:///run/x", /two slashes too many/],
      ["unix:/a\0b", /holds a zero byte/],
      [`unix:/${"a".repeat(UNIX_PATH_BYTES_MAX)}`, /is too long/],
    ];
    for (const [text, message] of cases) {
      expect(() => parseDoorAddress(text)).toThrow(ValueError);
      expect(() => parseDoorAddress(text)).toThrow(message);
    }
    expect(cases).toHaveLength(43);
  });

  test("never lets through a host that is not loopback", () => {
    const loopback = new net.BlockList();
    loopback.addSubnet("127.0.0.0", 8, "ipv4");
    const octet = fc.oneof(fc.nat(300).map(String), fc.constantFrom("127", "0", "00", "01", "0x7f", "", "*"));
    const host = fc.oneof(
      fc.array(octet, { minLength: 1, maxLength: 5 }).map((parts) => parts.join(".")),
      fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255)).map((rest) => `127.${rest.join(".")}`),
      fc.ipV6().map((address) => `[${address}]`),
      fc.string({ maxLength: 12 }),
    );
    let accepted = 0;
    fc.assert(
      fc.property(host, fc.nat(70_000), (host, port) => {
        let address: DoorAddress;
        try {
          address = parseDoorAddress(`${host}:${port}`);
        } catch (error) {
          expect(error).toBeInstanceOf(ValueError);
          return;
        }
        if (address.kind === "unix") return;
        accepted++;
        expect(address.port).toBe(port);
        expect(address.host === "::1" || loopback.check(address.host, "ipv4")).toBe(true);
      }),
      { numRuns: 1000 },
    );
    expect(accepted).toBeGreaterThan(50);
  });
});

/** What a schema says of a text: its value, or its message. */
function read(schema: ReturnType<typeof serviceDoor | typeof proxyProtocol>, text: string): unknown {
  const read = schema.safeParse(text);
  return read.success ? read.data : read.error.issues[0]?.message;
}

test("serviceDoor() reads SERVICE=LISTEN", () => {
  expect(read(serviceDoor(), "db=127.0.0.1:5432")).toEqual({
    service: "db",
    address: { kind: "tcp", host: "127.0.0.1", port: 5432 },
  });
  expect(read(serviceDoor(), "db=unix:/a=b")).toMatchObject({ address: { kind: "unix", path: "/a=b" } });
  const faults: [string, RegExp][] = [
    ["127.0.0.1:5432", /has no "=": write it as db=127\.0\.0\.1:5432$/],
    ["=127.0.0.1:5432", /service name is missing/],
    ["Db=127.0.0.1:5432", /service name "Db" is not valid/],
    ["*=127.0.0.1:5432", /service name "\*" is not valid/],
    ["db=0.0.0.0:5432", /could be reached from outside/],
    ["db=", /is no address of a door/],
  ];
  for (const [text, message] of faults) expect(read(serviceDoor(), text)).toMatch(message);
  expect(faults).toHaveLength(6);
});

test("proxyProtocol() reads SERVICE=v1 and SERVICE=v2", () => {
  expect(read(proxyProtocol(), "db=v1")).toEqual({ service: "db", version: 1 });
  expect(read(proxyProtocol(), "db=v2")).toEqual({ service: "db", version: 2 });
  const faults: [string, RegExp][] = [
    ["db", /has no "=": write it as db=v2$/],
    ["db=", /"" is no version of the PROXY protocol: write v1 or v2$/],
    ["db=2", /"2" is no version/],
    ["db=V2", /"V2" is no version/],
    ["db=v3", /"v3" is no version/],
    ["db=v1=v2", /"v1=v2" is no version/],
    ["D B=v1", /is not valid/],
  ];
  for (const [text, message] of faults) expect(read(proxyProtocol(), text)).toMatch(message);
  expect(faults).toHaveLength(7);
});
