/**
 * What the doctor is to try, read from the settings of a run.
 *
 * A file that cannot be read is no reason to stop here: it becomes a line of the report.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { formatTarget } from "../config/addresses.ts";
import type { AgentConfig } from "../config/agent_config.ts";
import { formatDoorAddress } from "../config/door.ts";
import type { GatewayAddress } from "../link/dial.ts";
import type { DoctorPlan, Loaded } from "./doctor.ts";
import type { TlsFiles } from "./doctor_tls.ts";

/**
 * Reads the plan, and the files that the settings name: token, certificates, key.
 *
 * @param gateways The gateways of the settings, as they are dialled.
 */
export function planOf(config: Readonly<AgentConfig>, gateways: readonly GatewayAddress[]): DoctorPlan {
  const { app, as, egress, tokenFile, targetCa } = config;
  return {
    gateways,
    services: config.serve.map(({ service, target }) => ({ service, target: formatTarget(target) })),
    reach: config.reach.map(({ service, address }) => ({ service, listen: formatDoorAddress(address) })),
    ...(egress === undefined ? {} : { egress: formatDoorAddress(egress) }),
    ...(app === undefined || as === undefined ? {} : { app: { service: as, file: app } }),
    token: tokenFile === undefined
      ? { value: config.token?.reveal() ?? "" }
      : load(() => readFileSync(tokenFile, "utf8").trim()),
    ...(tokenFile === undefined ? {} : { tokenFile }),
    tls: load(() => readTls(config)),
    targetCa: load(() => targetCa === undefined ? "" : readFileSync(targetCa, "utf8")),
    targetInsecure: config.targetInsecure,
    seal: config.seal,
    requireWall: config.requireWall,
    auditWall: config.auditWall,
  };
}

function readTls({ gatewayCa, gatewayCert, gatewayKey }: Readonly<AgentConfig>): TlsFiles {
  const read = (path: string): string => readFileSync(path, "utf8");
  return {
    ...(gatewayCa === undefined ? {} : { ca: read(gatewayCa) }),
    ...(gatewayCert === undefined ? {} : { cert: read(gatewayCert) }),
    ...(gatewayKey === undefined ? {} : { key: read(gatewayKey) }),
  };
}

function load<T>(read: () => T): Loaded<T> {
  try {
    return { value: read() };
  } catch (error) {
    const { path = "a file", code } = error as NodeJS.ErrnoException;
    return { error: `${path} cannot be read (${code ?? String(error)})` };
  }
}
