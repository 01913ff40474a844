/**
 * The doors of an agent, as people write them: what it listens on for the container that it stands in.
 *
 * A door is a loopback address or a unix socket, and nothing else: an agent opens no port to the outside.
 *
 * @module
 */
import { isIPv4, isIPv6 } from "node:net";
import type { z } from "zod";
import { quoted } from "../printable.ts";
import { parseServiceName } from "../service_name.ts";
import { parseUnixAddress, type UnixAddress } from "./addresses.ts";
import { leaf, ValueError, type Written } from "./units.ts";

/** Where a door is. */
export type DoorAddress = UnixAddress | {
  readonly kind: "tcp";
  /** A loopback address; IPv6 without brackets. */
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
};

/** A door to a service of another agent. */
export interface ServiceDoor {
  readonly service: string;
  readonly address: DoorAddress;
}

/** The header of the PROXY protocol that a service's target wants in front of each connection. */
export interface ProxyProtocol {
  readonly service: string;
  readonly version: 1 | 2;
}

const FORMS = "127.0.0.1:PORT, [::1]:PORT or unix:PATH";

/**
 * Reads `127.0.0.1:PORT`, any other address of 127.0.0.0/8, `localhost:PORT`, `[::1]:PORT` or `unix:PATH`.
 *
 * @throws {ValueError} When it is none of these.
 */
export function parseDoorAddress(text: string): DoorAddress {
  if (text.startsWith("unix:")) return parseUnixAddress(text);
  if (/^\d+$/.test(text)) {
    throw new ValueError(`${quoted(text)} is a port alone: write 127.0.0.1:${text}`);
  }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) throw new ValueError(`${quoted(text)} is no address of a door: write ${FORMS}`);
  const [, v6, name = "", digits = ""] = match;
  const port = Number(digits);
  if (port > 65_535) throw new ValueError(`port ${digits} is too large: at most 65535, as in 127.0.0.1:5432`);
  if (v6 === "::1") return { kind: "tcp", host: "::1", port };
  if (v6 === undefined && name.toLowerCase() === "localhost") return { kind: "tcp", host: "127.0.0.1", port };
  // Exactly as an address is written: another spelling is a name, which a resolver may lead anywhere.
  if (v6 === undefined && isIPv4(name) && name.startsWith("127.")) return { kind: "tcp", host: name, port };
  if (v6 !== undefined && !isIPv6(v6)) {
    throw new ValueError(`${quoted(text)} is no address of a door: write ${FORMS}`);
  }
  throw new ValueError(
    `${
      quoted(text)
    } could be reached from outside, and an agent opens no port to the outside: write ${FORMS}`,
  );
}

/** The address of a door as it would be written. */
export function formatDoorAddress(address: DoorAddress): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  return `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

/** An address of a door. */
export function doorAddress(): z.ZodType<DoorAddress, Written> {
  return leaf("LISTEN", parseDoorAddress);
}

/** `SERVICE=LISTEN`. */
export function serviceDoor(): z.ZodType<ServiceDoor, Written> {
  return leaf("SERVICE=LISTEN", (text) => {
    const [service, rest] = divide(text, "db=127.0.0.1:5432");
    return { service: parseServiceName(service), address: parseDoorAddress(rest) };
  });
}

/** `SERVICE=v1` or `SERVICE=v2`. */
export function proxyProtocol(): z.ZodType<ProxyProtocol, Written> {
  return leaf("SERVICE=v1|v2", (text) => {
    const [service, version] = divide(text, "db=v2");
    if (version !== "v1" && version !== "v2") {
      throw new ValueError(`${quoted(version)} is no version of the PROXY protocol: write v1 or v2`);
    }
    return { service: parseServiceName(service), version: version === "v1" ? 1 : 2 };
  });
}

function divide(text: string, example: string): [string, string] {
  const at = text.indexOf("=");
  if (at < 0) throw new ValueError(`${quoted(text)} has no "=": write it as ${example}`);
  return [text.slice(0, at), text.slice(at + 1)];
}
