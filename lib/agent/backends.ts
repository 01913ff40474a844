/**
 * What stands behind the services of an agent. No gateway can add to it.
 *
 * @module
 */
import type { Duplex } from "node:stream";
import { resolve as resolvePath } from "node:path";
import { pathToFileURL } from "node:url";
import { formatTarget, isRawTarget, type Target } from "../config/addresses.ts";
import type { AgentConfig } from "../config/agent_config.ts";
import { fetchTarget } from "../http/fetch_target.ts";
import type { FetchHandler } from "../http/replay_app.ts";
import { TargetClient } from "../http/target_client.ts";
import type { Connect } from "../runtime/byte_socket.ts";
import { connectRaw, connectTcp } from "../runtime/connect_tcp.ts";
import { connectTls } from "../runtime/connect_tls.ts";
import { readText, StartError } from "./files.ts";

/** What stands behind a service: HTTP that is dialled, raw connections that are dialled, or a function right here. */
export type Backend =
  | { readonly kind: "http"; readonly client: TargetClient; readonly name: string }
  | {
    readonly kind: "tcp";
    readonly connect: Connect;
    readonly name: string;
    /** The header of the PROXY protocol that the target wants. */
    readonly proxyVersion: 1 | 2 | undefined;
  }
  | { readonly kind: "app"; readonly handler: FetchHandler };

/**
 * Makes the backends of all services.
 *
 * @param handler An app that is there already, instead of `config.app`.
 * @throws {StartError} A file or a module is not as it should be.
 */
export async function makeBackends(
  config: Readonly<AgentConfig>,
  handler: FetchHandler | undefined,
): Promise<Map<string, Backend>> {
  const backends = new Map<string, Backend>();
  const ca = config.targetCa === undefined ? undefined : readText(config.targetCa, "--target-ca");
  for (const { service, target } of config.serve) {
    const name = formatTarget(target);
    const connect = (onRead: OnRead): Duplex | Promise<Duplex> => connectTarget(target, ca, config, onRead);
    if (isRawTarget(target)) {
      const proxyVersion = config.proxyProtocol.find((it) => it.service === service)?.version;
      const connectBytes: Connect = (onRead) => plainBytes(target, onRead) ?? connect(onRead);
      backends.set(service, { kind: "tcp", connect: connectBytes, name, proxyVersion });
    } else if (config.replay === "fetch" && target.kind === "http") {
      backends.set(service, { kind: "app", handler: fetchTarget(name) });
    } else {
      const client = new TargetClient({ connect, connectTimeoutMs: config.limits.connectTimeout });
      backends.set(service, { kind: "http", client, name });
    }
  }
  if (config.as !== undefined) {
    backends.set(config.as, { kind: "app", handler: handler ?? await importApp(config.app!) });
  }
  return backends;
}

type OnRead = (chunk: Uint8Array) => boolean;

/** @returns `undefined` for a target that wants TLS. */
function plainBytes(target: Target, onRead: OnRead): Duplex | undefined {
  if (target.kind === "unix" || target.kind === "unix+tcp") return connectRaw({ path: target.path }, onRead);
  return target.secure ? undefined : connectRaw({ host: target.host, port: target.port }, onRead);
}

function connectTarget(
  target: Target,
  ca: string | undefined,
  config: Readonly<AgentConfig>,
  onRead: (chunk: Uint8Array) => boolean,
): Duplex | Promise<Duplex> {
  if (target.kind === "unix" || target.kind === "unix+tcp") return connectTcp({ path: target.path }, onRead);
  const { host, port } = target;
  if (!target.secure) return connectTcp({ host, port }, onRead);
  const timeoutMs = config.limits.connectTimeout;
  return connectTls({
    host,
    port,
    insecure: config.targetInsecure,
    timeoutMs,
    ...(ca === undefined ? {} : { ca }),
  });
}

async function importApp(file: string): Promise<FetchHandler> {
  let module: { default?: unknown };
  try {
    module = await import(pathToFileURL(resolvePath(file)).href);
  } catch (error) {
    throw new StartError(`Cannot load the app ${file}: ${(error as Error).message}`, { cause: error });
  }
  const app = module.default as { fetch?: unknown } | undefined;
  if (typeof app?.fetch !== "function") {
    throw new StartError(`Cannot serve the app ${file}: it has no "export default { fetch }"`);
  }
  return (request) => (app as { fetch: FetchHandler }).fetch(request);
}
