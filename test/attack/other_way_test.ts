/**
 * Somebody with the token of a replica, who serves its service in the other way: raw where it is HTTP, to get the bytes
 * of its visitors, or HTTP where it is raw. While honest links stand, nothing of it reaches a visitor.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { LINK_PATH } from "../../lib/config/addresses.ts";
import { dialLink } from "../../lib/link/dial.ts";
import { FrameType } from "../../lib/wire/frame.ts";
import { decodeFarewell } from "../../lib/wire/open.ts";
import { TcpEnd, TcpTarget } from "../e2e/tcp_wall.ts";
import { AttackRig } from "../support/attack_rig.ts";
import { ScriptedPeer } from "../support/scripted_peer.ts";
import { startWall, type Wall } from "../support/wall.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Links with a sound token and any HELLO; gives why it was sent away. */
async function intrude(wall: Wall, hello: string[]): Promise<{ code: string; opens: number }> {
  const gateway = {
    kind: "tcp" as const,
    secure: false,
    host: "127.0.0.1",
    port: wall.port,
    path: LINK_PATH,
  };
  const peer = new ScriptedPeer(await dialLink({ gateway, token: await wall.token(["*"]) }), hello);
  closers.push(() => peer.close());
  const { code } = decodeFarewell((await peer.frameOf(FrameType.goAway)).payload);
  return { code, opens: peer.seen.filter(({ type }) => type === FrameType.open).length };
}

describe("a replica in the other way", () => {
  test("gets no visitor of a service of HTTP, and they are served all the while", async () => {
    const rig = new AttackRig();
    closers.push(() => rig.close());
    await rig.start();
    for (let i = 0; i < 5; i++) {
      const found = await intrude(rig.wall, ["services", "web", "tcp", "web"]);
      expect(found).toEqual({ code: "refused", opens: 0 });
      await rig.checkNextVisitors();
    }
    expect(rig.wall.log.filter((line) => line.includes('"linked"') && line.includes('"peer"'))).toHaveLength(
      1,
    );
  });

  test("gets no connection of a raw service, and they are served all the while", async () => {
    const echo = await TcpTarget.echo();
    closers.push(() => echo.close());
    const wall = await startWall({
      gateway: { tcp: ["127.0.0.1:0=db"] },
      agent: { serve: [`db=tcp://127.0.0.1:${echo.port}`] },
    });
    closers.push(() => wall.close());
    for (let i = 0; i < 5; i++) {
      expect(await intrude(wall, ["services", "db"])).toEqual({ code: "refused", opens: 0 });
      const end = await TcpEnd.connect(wall.tcpPorts[0]!);
      end.write(`hello ${i}`);
      expect((await end.take(7)).toString()).toBe(`hello ${i}`);
      end.destroy();
    }
  });
});
