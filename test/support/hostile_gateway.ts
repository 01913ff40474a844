/**
 * A real agent whose gateway is a script: a listener that takes any token and then sends what a test tells it to.
 *
 * @module
 */
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { startAgent } from "../../agent.ts";
import { agentConfig } from "../../lib/config/agent_config.ts";
import { loadConfig } from "../../lib/config/load.ts";
import type { FetchHandler } from "../../lib/http/replay_app.ts";
import { LinkAcceptor } from "../../lib/link/acceptor.ts";
import { createLogger } from "../../lib/log.ts";
import type { FlagValues } from "../../lib/settings.ts";
import { Changing } from "./raw_http.ts";
import { ScriptedPeer } from "./scripted_peer.ts";

export class HostileGatewayRig extends Changing {
  /** One per link, in order. */
  readonly gateways: ScriptedPeer[] = [];
  readonly log: string[] = [];
  readonly #server = http.createServer();
  readonly #sockets = new Set<Socket>();
  #agent: { stop(graceMs: number): Promise<void> } | undefined;

  /** The scripted gateway of the newest link. */
  get gateway(): ScriptedPeer {
    return this.gateways.at(-1)!;
  }

  async start(flags: FlagValues, handler?: FetchHandler): Promise<void> {
    const acceptor = new LinkAcceptor<undefined>({
      authenticate: () => Promise.resolve({ ok: true, identity: undefined }),
      onLink: (link) => {
        const peer = new ScriptedPeer(link, []);
        // An agent counts as linked once its first ping is answered.
        peer.onFrame = ({ type, payload }) => {
          if (type === 0x07) peer.frame(0x08, 0, 0, payload);
        };
        this.gateways.push(peer);
        this.changed();
      },
    });
    this.#server.on("upgrade", (request, socket, head) => {
      this.#sockets.add(socket as Socket);
      acceptor.handleUpgrade(request, socket, head);
    });
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const { port } = this.#server.address() as AddressInfo;
    const all = { gateway: [`ws://127.0.0.1:${port}`], token: "any.token.will-do", ...flags };
    const write = (line: string): void => void this.log.push(line);
    this.#agent = await startAgent({
      config: loadConfig({ schema: agentConfig, flags: all, env: {} }),
      token: "any.token.will-do",
      log: createLogger({ level: "debug", format: "json", isTerminal: false, write }),
      ...(handler ? { handler } : {}),
    });
    await this.until(() => this.gateways.length > 0, () => "a link");
    await this.gateway.frameOf(0x00);
  }

  async close(): Promise<void> {
    await this.#agent?.stop(0);
    for (const gateway of this.gateways) gateway.close();
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
