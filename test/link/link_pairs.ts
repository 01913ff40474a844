/**
 * Real links for tests: a gateway's server, an agent's dial, and between them a path that can be stalled.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server as HttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import {
  type AddressInfo,
  connect,
  createServer as createNetServer,
  type Server,
  type Socket,
} from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LinkAcceptor, type LinkAcceptorOptions } from "../../lib/link/acceptor.ts";
import { dialLink, type GatewayAddress } from "../../lib/link/dial.ts";
import type { Link } from "../../lib/link/link.ts";
import type { LinkPair } from "../contract/link.ts";

export type LinkKind = "ws" | "wss" | "unix";

/** A server with an acceptor on it. */
export interface TestGateway {
  readonly address: GatewayAddress;
  readonly acceptor: LinkAcceptor<string>;
  readonly requests: IncomingMessage[];
  /** The next link that is accepted. */
  nextLink(): Promise<Link>;
  dispose(): Promise<void>;
}

/** PEM of an authority and of a certificate of it for `localhost` and 127.0.0.1. */
export interface TestCertificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Makes certificates with the `openssl` of the machine. */
export function makeCertificates(): TestCertificates {
  const folder = mkdtempSync(join(tmpdir(), "netwall-pki-"));
  const at = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => void execFileSync("openssl", args, { stdio: "ignore" });
  try {
    const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    openssl(
      "req",
      "-x509",
      ...ec,
      "-subj",
      "/CN=Test CA",
      "-days",
      "2",
      "-keyout",
      at("ca.key"),
      "-out",
      at("ca.pem"),
    );
    openssl("req", ...ec, "-subj", "/CN=localhost", "-keyout", at("key"), "-out", at("csr"));
    writeFileSync(at("ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n");
    const sign = ["-req", "-in", at("csr"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial"];
    openssl("x509", ...sign, "-days", "2", "-extfile", at("ext"), "-out", at("cert"));
    const read = (name: string): string => readFileSync(at(name), "utf8");
    return { ca: read("ca.pem"), cert: read("cert"), key: read("key") };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Listens on a free port of loopback, or on a socket in a new folder. */
export async function listen(server: Server | HttpServer, path?: string): Promise<number> {
  await new Promise<void>((resolve) => {
    if (path === undefined) server.listen(0, "127.0.0.1", resolve);
    else server.listen(path, resolve);
  });
  return path === undefined ? (server.address() as AddressInfo).port : 0;
}

/** Starts a gateway that accepts the token `good`, unless `options` say otherwise. */
export async function startGateway(
  kind: LinkKind,
  certificates?: TestCertificates,
  options: Partial<LinkAcceptorOptions<string>> = {},
): Promise<TestGateway> {
  const links: Link[] = [];
  const waiting: ((link: Link) => void)[] = [];
  const requests: IncomingMessage[] = [];
  const acceptor = new LinkAcceptor<string>({
    authenticate: (request) =>
      Promise.resolve(
        request.headers.authorization === "Bearer good"
          ? { ok: true, identity: "the agent" }
          : { ok: false, status: 401, code: "signature", message: "The token is not signed by this gateway" },
      ),
    onLink: (link) => {
      const next = waiting.shift();
      if (next === undefined) links.push(link);
      else next(link);
    },
    ...options,
  });
  const server = kind === "wss"
    ? createHttpsServer({ cert: certificates!.cert, key: certificates!.key })
    : createServer();
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket.on("close", () => sockets.delete(socket))));
  server.on("upgrade", (request, socket, head) => {
    requests.push(request);
    acceptor.handleUpgrade(request, socket, head);
  });
  const folder = mkdtempSync(join(tmpdir(), "netwall-link-"));
  const path = join(folder, "gateway.sock");
  const port = await listen(server, kind === "unix" ? path : undefined);
  const address: GatewayAddress = kind === "unix"
    ? { kind, path, route: "/.netwall/link" }
    : { kind: "tcp", secure: kind === "wss", host: "127.0.0.1", port, path: "/.netwall/link" };
  return {
    address,
    acceptor,
    requests,
    nextLink: () => {
      const link = links.shift();
      return link === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(link);
    },
    dispose: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      rmSync(folder, { recursive: true, force: true });
      return Promise.resolve();
    },
  };
}

/** Splices every connection to `to`; each direction can be held back with real backpressure. */
export async function startPath(to: GatewayAddress): Promise<{
  address: GatewayAddress;
  hold(direction: "up" | "down", held: boolean): void;
  dispose(): void;
}> {
  const held = { up: false, down: false };
  const pairs: { agent: Socket; gateway: Socket }[] = [];
  const server = createNetServer((agent) => {
    const gateway = to.kind === "unix"
      ? connect({ path: to.path })
      : connect({ host: to.host, port: to.port });
    pairs.push({ agent, gateway });
    splice(agent, gateway, () => held.up);
    splice(gateway, agent, () => held.down);
  });
  const folder = mkdtempSync(join(tmpdir(), "netwall-path-"));
  const path = join(folder, "path.sock");
  const port = await listen(server, to.kind === "unix" ? path : undefined);
  return {
    address: to.kind === "unix" ? { ...to, path } : { ...to, port },
    hold: (direction, isHeld) => {
      held[direction] = isHeld;
      for (const { agent, gateway } of pairs) {
        const from = direction === "up" ? agent : gateway;
        if (isHeld) from.pause();
        else from.resume();
      }
    },
    dispose: () => {
      for (const { agent, gateway } of pairs) for (const socket of [agent, gateway]) socket.destroy();
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function splice(from: Socket, to: Socket, isHeld: () => boolean): void {
  from.on("data", (chunk) => {
    if (!to.write(chunk)) from.pause();
  });
  to.on("drain", () => {
    if (!isHeld()) from.resume();
  });
  from.on("end", () => to.end()).on("error", () => to.destroy()).on("close", () => to.destroy());
}

/** Makes pairs of one kind for the contract; `direction` says which end is the sender. */
export function linkPairs(
  kind: LinkKind,
  direction: "agent to gateway" | "gateway to agent",
  certificates?: TestCertificates,
): () => Promise<LinkPair> {
  return async () => {
    const gateway = await startGateway(kind, certificates);
    const path = await startPath(gateway.address);
    const tls = certificates === undefined ? {} : { ca: certificates.ca };
    const [agentEnd, gatewayEnd] = await Promise.all([
      dialLink({ gateway: path.address, token: "good", tls }),
      gateway.nextLink(),
    ]);
    const isUp = direction === "agent to gateway";
    return {
      sender: isUp ? agentEnd : gatewayEnd,
      receiver: isUp ? gatewayEnd : agentEnd,
      stall: () => path.hold(isUp ? "up" : "down", true),
      resume: () => path.hold(isUp ? "up" : "down", false),
      dispose: async () => {
        path.dispose();
        await gateway.dispose();
      },
    };
  };
}
