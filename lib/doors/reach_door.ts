/**
 * A door to one service of another agent: whatever connects to it is spliced with that service.
 *
 * @module
 */
import type { Logger } from "../log.ts";
import type { Session } from "../mux/session.ts";
import { listenTcp, type TcpListenAddress, type TcpListener } from "../runtime/listen_tcp.ts";
import { FailureLog } from "./failure_log.ts";
import { openOutgoing } from "./outgoing.ts";

export interface DoorOptions {
  readonly at: TcpListenAddress;
  /** The sessions there are now, also those that are not ready. */
  sessions(): Iterable<Session>;
  readonly connectionsMax: number;
  readonly idleTimeoutMs: number;
  readonly log: Logger;
  /** One line for every connection, not only for those that failed. */
  readonly logAccess: boolean;
}

/** Opens the door. @throws {NodeJS.ErrnoException} When the address cannot be had. */
export function openReachDoor(service: string, options: DoorOptions): Promise<TcpListener> {
  const { at, sessions, connectionsMax, idleTimeoutMs, log, logAccess } = options;
  const failures = new FailureLog(log);
  return listenTcp(at, {
    connectionsMax,
    onRefused: () => log.warn("too many connections at a door", { service, connectionsMax }),
    onConnection: (socket) =>
      openOutgoing(sessions(), {
        destination: { kind: "tcp", service },
        ...{ socket, waits: false, idleTimeoutMs },
        onFailure: (failure, detail) => {
          failures.tell("cannot reach a service", { service, failure, detail });
          socket.reset();
        },
        onDone: ({ by, code, readBytes, writtenBytes }) => {
          if (logAccess) log.info("reached", { service, by, code, readBytes, writtenBytes });
        },
      }),
  });
}
