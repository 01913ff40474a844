/**
 * What an agent dials and opens, by its settings: the gateways as the link dials them, and the list for a seal.
 *
 * @module
 */
import { type GatewayAddress, LINK_PATH } from "../config/addresses.ts";
import type { AgentConfig } from "../config/agent_config.ts";
import type { DoorAddress } from "../config/door.ts";
import type { GatewayAddress as DialAddress } from "../link/dial.ts";
import { type Environment, isLoopback, proxyFor } from "../link/proxy.ts";
import type { SealOptions, TcpEndpoint } from "../seal/seal_options.ts";
import { readText } from "./files.ts";

/** A gateway as the link dials it. */
export function dialAddress(gateway: GatewayAddress): DialAddress {
  if (gateway.kind === "unix") return { kind: "unix", path: gateway.path, route: LINK_PATH };
  const { secure, host, port, url } = gateway;
  const { pathname, search } = new URL(url);
  return { kind: "tcp", secure, host, port, path: pathname + search };
}

/**
 * The environment for dialling gateways: without proxies when the one it names is this agent's own, which is set for
 * all programs of the container and would lead a link into itself.
 *
 * @throws {LinkError} The environment names a proxy that is none.
 */
export function dialEnvironment(
  config: Pick<AgentConfig, "egress" | "gateway">,
  env: Environment,
): Environment {
  const { egress, gateway } = config;
  if (egress?.kind !== "tcp") return env;
  const isOwn = gateway.some((each) => {
    const proxy = each.kind === "unix" ? undefined : proxyFor(each.secure, each, env);
    return proxy !== undefined && proxy.port === egress.port && isLoopback(proxy.host);
  });
  return isOwn ? {} : env;
}

/**
 * What the agent cannot do without.
 *
 * @throws {LinkError} The environment names a proxy that is none.
 */
export function sealOptionsOf(config: Readonly<AgentConfig>, env: Environment): SealOptions {
  const dialEnv = dialEnvironment(config, env);
  const connect: TcpEndpoint[] = [];
  const connectUnix: string[] = [];
  for (const gateway of config.gateway) {
    if (gateway.kind === "unix") connectUnix.push(gateway.path);
    else connect.push(proxyFor(gateway.secure, gateway, dialEnv) ?? gateway);
  }
  for (const { target } of config.serve) {
    if (target.kind === "unix" || target.kind === "unix+tcp") connectUnix.push(target.path);
    else connect.push(target);
  }
  const doors = [...config.reach.map(({ address }) => address), ...(config.egress ? [config.egress] : [])];
  const isTcp = (address: DoorAddress): address is Extract<DoorAddress, { kind: "tcp" }> =>
    address.kind === "tcp";
  const files = [
    config.tokenFile,
    config.targetCa,
    config.gatewayCa,
    config.gatewayCert,
    config.gatewayKey,
    config.app,
  ];
  return {
    connect: connect.map(({ host, port }) => ({ host, port })),
    listen: doors.filter(isTcp).map(({ host, port }) => ({ host, port })),
    connectUnix,
    listenUnix: doors.flatMap((address) => address.kind === "unix" ? [address.path] : []),
    read: files.filter((file) => file !== undefined),
  };
}

/** What gateways are trusted by, and the client certificate for them. @throws {StartError} A file cannot be read. */
export function readTlsFiles(config: Readonly<AgentConfig>): { ca?: string; cert?: string; key?: string } {
  const tls: { ca?: string; cert?: string; key?: string } = {};
  if (config.gatewayCa !== undefined) tls.ca = readText(config.gatewayCa, "--gateway-ca");
  if (config.gatewayCert !== undefined) tls.cert = readText(config.gatewayCert, "--gateway-cert");
  if (config.gatewayKey !== undefined) tls.key = readText(config.gatewayKey, "--gateway-key");
  return tls;
}
