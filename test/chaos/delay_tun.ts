/**
 * Reads packets from a TUN device and writes each back some time later, or never.
 *
 * Arguments: the name of the device, which it makes, the delay of each packet in ms, and the percentage that is lost.
 * Runs on Bun only: a TUN device is had by an `ioctl`, which no API of Node's offers.
 *
 * @module
 */
import { closeSync, constants, openSync, read, writeSync } from "node:fs";
import process from "node:process";

/** Linux, `linux/if_tun.h`: TUNSETIFF, packets without an Ethernet head and without flags in front. */
const TUNSETIFF = 0x400454ca;
const IFF_TUN_NO_PI = 0x1001;

/** `struct ifreq`: 16 bytes of name, then the flags. */
const IFREQ_BYTES = 40;
const IFREQ_FLAGS_AT = 16;

const PACKET_BYTES_MAX = 65_536;

/** Packets on the line: 25 ms of 1 Gbit/s are 2,000; more than this are lost, as a full queue loses them. */
const PACKETS_MAX = 20_000;

/** What is used of Bun's interface to C, which Deno's type check does not know. */
interface Ffi {
  dlopen(
    library: string,
    symbols: Record<string, { args: string[]; returns: string }>,
  ): { symbols: Record<string, (...args: unknown[]) => number> };
}

/** Opens the device. @throws {Error} When the kernel does not give it. */
async function openTun(name: string): Promise<number> {
  const specifier: string = "bun:ffi";
  const ffi = await import(specifier) as Ffi;
  const libc = ffi.dlopen("libc.so.6", { ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" } });
  const fd = openSync("/dev/net/tun", constants.O_RDWR);
  const request = new Uint8Array(IFREQ_BYTES);
  request.set(new TextEncoder().encode(name));
  new DataView(request.buffer).setUint16(IFREQ_FLAGS_AT, IFF_TUN_NO_PI, true);
  if (libc.symbols["ioctl"]!(fd, TUNSETIFF, request) === 0) return fd;
  closeSync(fd);
  throw new Error(`Cannot make the device ${name}: the kernel refused it`);
}

const [name = "", delayText = "", lossText = ""] = process.argv.slice(2);
const delayMs = Number(delayText);
const lossShare = Number(lossText) / 100;
const fd = await openTun(name);
const line: { readonly dueMs: number; readonly packet: Uint8Array }[] = [];
let timer: ReturnType<typeof setTimeout> | undefined;

function deliver(): void {
  timer = undefined;
  for (let first = line[0]; first !== undefined; first = line[0]) {
    const leftMs = first.dueMs - performance.now();
    if (leftMs > 0.5) {
      timer = setTimeout(deliver, leftMs);
      return;
    }
    line.shift();
    try {
      writeSync(fd, first.packet);
    } catch {
      // The device is down: the packet is lost.
    }
  }
}

function readNext(): void {
  const packet = new Uint8Array(PACKET_BYTES_MAX);
  read(fd, packet, 0, PACKET_BYTES_MAX, null, (error, bytes) => {
    if (error === null && Math.random() >= lossShare && line.length < PACKETS_MAX) {
      line.push({ dueMs: performance.now() + delayMs, packet: packet.slice(0, bytes) });
      timer ??= setTimeout(deliver, delayMs);
    }
    // Until the device is up it cannot be read.
    if (error === null) readNext();
    else setTimeout(readNext, 10);
  });
}

process.on("SIGTERM", () => process.exit(0));
readNext();
process.stdout.write("ready {}\n");
