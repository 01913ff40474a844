/**
 * The doors of an agent: to services of other agents, and the proxy to the outside.
 *
 * @module
 */
import type { AgentConfig } from "../config/agent_config.ts";
import { type DoorAddress, formatDoorAddress } from "../config/door.ts";
import { openProxyDoor } from "../doors/proxy_door.ts";
import { type DoorOptions, openReachDoor } from "../doors/reach_door.ts";
import { ListenFault, listenFault, removeStale } from "../http/visitor_server.ts";
import type { Logger } from "../log.ts";
import type { Session } from "../mux/session.ts";
import { lackingFlags } from "./denied.ts";
import type { TcpListenAddress, TcpListener } from "../runtime/listen_tcp.ts";

/** Doors that stand, and where. */
export interface OpenDoors {
  readonly reach: Readonly<Record<string, string | string[]>>;
  readonly egress: string | undefined;
  /** Takes no more connections; those that are there go on. */
  close(): void;
}

/** Opens all doors or none. @throws {ListenFault} The first that cannot be opened, and why. */
export async function openDoors(
  config: Readonly<AgentConfig>,
  log: Logger,
  sessions: () => Iterable<Session>,
): Promise<OpenDoors> {
  const listeners: TcpListener[] = [];
  const close = (): void => {
    for (const listener of listeners) listener.close();
  };
  const open = async (
    address: DoorAddress,
    opener: (options: DoorOptions) => Promise<TcpListener>,
  ): Promise<string> => {
    const at: TcpListenAddress = address.kind === "unix" ? { path: address.path } : address;
    const { connectionsMax, idleTimeout } = config.limits;
    try {
      const flags = lackingFlags(at);
      if (flags !== undefined) {
        throw new ListenFault(`Cannot listen on ${formatDoorAddress(address)}: start Deno with ${flags}`);
      }
      if ("path" in at) await removeStale(at.path);
      const listener = await opener({
        ...{ at, sessions, connectionsMax, log, logAccess: config.log.access, idleTimeoutMs: idleTimeout },
      });
      listeners.push(listener);
      return listener.address;
    } catch (error) {
      close();
      throw listenFault(
        "path" in at ? at : { host: at.host, port: at.port },
        error as NodeJS.ErrnoException,
      );
    }
  };
  const reach = new Map<string, string | string[]>();
  for (const { service, address } of config.reach) {
    const where = await open(address, (options) => openReachDoor(service, options));
    const known = reach.get(service);
    reach.set(service, known === undefined ? where : [known, where].flat());
  }
  const egress = config.egress && await open(config.egress, openProxyDoor);
  log.debug("doors", {
    reach: [...reach.keys()].join(","),
    egress: config.egress && formatDoorAddress(config.egress),
  });
  return { reach: Object.fromEntries(reach), egress, close };
}
