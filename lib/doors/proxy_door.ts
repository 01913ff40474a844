/**
 * The local proxy: HTTP and CONNECT for the programs of the container, out by the gateway.
 *
 * It decides nothing: whether a host may be called is the gateway's to say, and so is its address. A name below
 * `netwall.internal` is the service of another agent. One connection carries one request or one tunnel.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { ByteSocket } from "../runtime/byte_socket.ts";
import { listenTcp, type TcpListener } from "../runtime/listen_tcp.ts";
import { isServiceName } from "../service_name.ts";
import { FailureLog } from "./failure_log.ts";
import { type Destination, openOutgoing, type OutgoingFailure } from "./outgoing.ts";
import { CONNECT_ESTABLISHED, proxyAnswer } from "./proxy_answer.ts";
import { type ProxyRead, ProxyRequestReader } from "./proxy_request.ts";
import type { DoorOptions } from "./reach_door.ts";

/** Services of other agents are below it. `internal` is kept for private use (ICANN, 2024). */
export const SERVICE_DOMAIN = "netwall.internal";

/** For the whole head of a request. */
const HEAD_TIMEOUT_MS = 30_000;

/** Opens the door. @throws {NodeJS.ErrnoException} When the address cannot be had. */
export function openProxyDoor(options: DoorOptions): Promise<TcpListener> {
  const { at, connectionsMax, log } = options;
  const failures = new FailureLog(log);
  return listenTcp(at, {
    connectionsMax,
    onRefused: () => log.warn("too many connections at the proxy", { connectionsMax }),
    onConnection: (socket) => readRequest(socket, options, failures),
  });
}

function readRequest(socket: ByteSocket, options: DoorOptions, failures: FailureLog): void {
  const reader = new ProxyRequestReader();
  const timer = setTimeout(() => socket.reset(), HEAD_TIMEOUT_MS);
  let settled = false;
  socket.start({
    onData: (chunk) => {
      if (settled) return;
      const read = reader.push(chunk);
      if (read.kind === "more") return;
      settled = true;
      clearTimeout(timer);
      if (read.kind === "fault") return socket.endWith(proxyAnswer(read.status, read.detail));
      socket.pause();
      forward(socket, read, options, failures);
    },
    onEnd: () => {
      if (!settled) socket.reset();
    },
    onDrain: () => {},
    onClose: () => clearTimeout(timer),
  });
}

function forward(
  socket: ByteSocket,
  read: Exclude<ProxyRead, { kind: "more" | "fault" }>,
  options: DoorOptions,
  failures: FailureLog,
): void {
  const { host, port } = read;
  const { log, logAccess, idleTimeoutMs, sessions } = options;
  const destination = destinationOf(host, port);
  if (destination === undefined) {
    return socket.endWith(
      proxyAnswer(502, `${host} names no service of netwall`, [], "destination_not_found"),
    );
  }
  const end = read.kind === "connect" ? undefined : read.end;
  // Behind the request nothing goes on: it could be for another host. A program that asks again although its request
  // was the last one here, as a server that does not close misleads it, is cut off: it would wait for ever.
  const take = end && ((chunk: Uint8Array, answered: boolean): Uint8Array | undefined => {
    const { bytes, fault } = end.push(chunk);
    return fault !== undefined || answered && bytes < chunk.length ? undefined : chunk.subarray(0, bytes);
  });
  const rest = take === undefined ? read.rest : take(read.rest, false);
  if (rest === undefined) return socket.endWith(proxyAnswer(400, "The body is not chunked as it should be"));
  // The chunk is gone when the other side stands.
  const first = read.kind === "connect" ? Buffer.from(rest) : Buffer.concat([read.head, rest]);
  openOutgoing(sessions(), {
    ...{ destination, socket, waits: true, idleTimeoutMs },
    ...(take === undefined ? {} : { take }),
    onConnected: () => {
      if (read.kind === "connect") socket.write(CONNECT_ESTABLISHED);
      return first;
    },
    onFailure: (failure, detail) => {
      failures.tell("cannot call", { host, port, failure, detail });
      const [status, word] = ANSWERS[failure] ?? [502, "proxy_internal_error"];
      socket.endWith(proxyAnswer(status, detail || failureText(failure), [], word));
    },
    onDone: ({ by, code, readBytes, writtenBytes }) => {
      if (logAccess) log.info("called", { host, port, by, code, readBytes, writtenBytes });
    },
  });
}

/** @returns `undefined` for a name below the domain of services that is none. */
function destinationOf(host: string, port: number): Destination | undefined {
  if (host !== SERVICE_DOMAIN && !host.endsWith(`.${SERVICE_DOMAIN}`)) return { kind: "egress", host, port };
  const service = host.slice(0, -SERVICE_DOMAIN.length - 1);
  return isServiceName(service) ? { kind: "tcp", service } : undefined;
}

/** The status, and the word of RFC 9209 §2.3, for a connection that never stood. */
const ANSWERS: Partial<Record<OutgoingFailure, readonly [number, string]>> = {
  denied: [403, "http_request_denied"],
  "not_allowed": [403, "http_request_denied"],
  unknownService: [502, "destination_not_found"],
  targetDns: [502, "dns_error"],
  targetRefused: [502, "connection_refused"],
  targetReset: [502, "connection_terminated"],
  targetTimeout: [504, "connection_timeout"],
  targetTls: [502, "tls_protocol_error"],
  targetUnreachable: [502, "destination_ip_unroutable"],
  "no_link": [503, "destination_unavailable"],
  refused: [503, "connection_limit_reached"],
  overloaded: [503, "connection_limit_reached"],
};

const TEXTS: Partial<Record<OutgoingFailure, string>> = {
  denied: "The gateway does not allow it",
  targetDns: "The name has no address",
  targetRefused: "The host refuses connections",
  targetReset: "The host closed the connection",
  targetTimeout: "The host did not answer in time",
  targetUnreachable: "There is no way to the host",
};

function failureText(failure: OutgoingFailure): string {
  return TEXTS[failure] ?? "The connection could not be made";
}
