/**
 * `--require-wall` as people run it: an agent that may serve nothing is linked, and not ready.
 *
 * @module
 */
import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import net from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { netwallCommand, useProcesses } from "../support/processes.ts";
import { CROSS, eventually, linkCount, mintFor, spawnAgent, startGateway, TEST_MS_MAX } from "./wall.ts";

const processes = useProcesses();
const exposed = net.createServer();
afterAll(() => exposed.close());

const hasNetwork = process.platform === "linux" &&
  Object.keys(networkInterfaces()).some((name) => name !== "lo");
const canUnshare = spawnSync("unshare", ["-rn", "true"]).status === 0;
const SERVE = ["--serve", "web=http://127.0.0.1:9", "--require-wall"];

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agent on ${agentRuntime}`, () => {
    test.skipIf(!hasNetwork)(
      "behind a broken wall it is linked, says why it waits, and is not ready",
      async () => {
        if (!exposed.listening) await new Promise<void>((resolve) => exposed.listen(0, "0.0.0.0", resolve));
        const gateway = await startGateway(processes, gatewayRuntime);
        const agent = await spawnAgent(processes, agentRuntime, gateway, { args: SERVE });
        agent.ready.catch(() => {});
        const told = await eventually(
          () => agent.stderr(),
          (text) => text.includes("--require-wall holds back"),
        );
        expect(told).toContain("nothing is served until it is whole");
        expect(told).toContain("0.0.0.0:");
        expect(linkCount(gateway)).toBe(1);
        expect(agent.stdout()).toBe("");
        await agent.stop();
        await gateway.process.stop();
      },
      TEST_MS_MAX,
    );

    test.skipIf(!canUnshare)(
      "behind a whole wall it is ready (skipped where no namespace can be made)",
      async () => {
        const path = join(processes.folder(), "gateway.sock");
        const args = ["--route", "*=web", "--http", `unix:${path}`];
        const gateway = await startGateway(processes, gatewayRuntime, { args });
        const command = ["unshare", "-rn", "--", ...netwallCommand(agentRuntime, "agent")];
        const env = { NETWALL_TOKEN: await mintFor(gateway.data) };
        const agent = processes.start([...command, "--gateway", `unix:${path}`, ...SERVE], { env });
        expect(await agent.ready).toMatchObject({ services: ["web"] });
        expect(agent.stderr()).not.toContain("--require-wall holds back");
        await agent.stop();
        await gateway.process.stop();
      },
      TEST_MS_MAX,
    );
  });
}
