/**
 * A container that calls a network which a rule refuses, by a name that leads there: its own, or anybody's.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { egressEnds } from "../../lib/gateway/flows.ts";
import { agentOf, FirewallRig, OPERATOR, policyOf } from "../support/firewall_rig.ts";
import { Operator, startFirewall, startWorkload } from "../support/firewall_wall.ts";
import { useProcesses } from "../support/processes.ts";
import { RawConnection } from "../e2e/raw.ts";
import { proxyDoor, TcpTarget } from "../e2e/tcp_wall.ts";
import { CROSS, portOf, TEST_MS_MAX } from "../e2e/wall.ts";

const payment = agentOf("payment");
const NO_NETWORK = { id: "no-network", effect: "prevent", destination: { cidr: "198.51.100.0/24" } };

describe("a rule for a network", () => {
  test("holds for the address of a name, and rules before it still decide first", () => {
    const rig = new FirewallRig(policyOf({
      rules: [
        { id: "known", effect: "allow", destination: { host: "known.test" } },
        NO_NETWORK,
        { id: "told", effect: "alert", destination: { cidr: "203.0.113.0/24" } },
      ],
    }));
    const cases: [string, string, string][] = [
      ["evil.test", "198.51.100.7", "dropped"],
      ["evil.test", "::ffff:198.51.100.7", "dropped"],
      ["evil.test", "192.0.2.1", "forwarded"],
      ["known.test", "198.51.100.7", "forwarded"],
      ["told.test", "203.0.113.9", "audited"],
    ];
    for (const [host, address, verdict] of cases) {
      const passage = rig.firewall.admit(egressEnds(payment, host, 443));
      expect(passage.judgement.verdict).toBe("forwarded");
      let cut = "";
      passage.exchange = { deny: (detail) => void (cut = detail) };
      expect([host, address, rig.firewall.mayDial(passage, address)]).toEqual([
        ...[host, address],
        verdict !== "dropped",
      ]);
      rig.firewall.dials(passage, address);
      expect([host, address, passage.judgement.verdict]).toEqual([host, address, verdict]);
      expect(cut === "").toBe(verdict !== "dropped");
      rig.firewall.end(passage, { ok: true, inBytes: 0, outBytes: 0 });
    }
    expect(cases).toHaveLength(5);
    const told = rig.told.map(({ rule, verdict, destination, count }) =>
      `${rule.id} ${verdict} ${destination?.host} ${count}`
    );
    expect(told.sort()).toEqual(["no-network dropped evil.test 2", "told audited told.test 1"]);
  });

  test("that is made later cuts off what was dialled there by a name, and nothing else", () => {
    const rig = new FirewallRig();
    const [there, elsewhere] = [rig.call(payment, "evil.test", 443), rig.call(payment, "good.test", 443)];
    rig.firewall.dials(there.passage, "198.51.100.7");
    rig.firewall.dials(elsewhere.passage, "192.0.2.1");
    expect(rig.control.apply(policyOf({ rules: [NO_NETWORK] }), OPERATOR, "").cut).toBe(1);
    expect(there.cut).toContain("policy");
    expect(elsewhere.cut).toBeUndefined();
  });
});

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agent on ${agentRuntime}`, () => {
    const processes = useProcesses();
    let inside: TcpTarget;

    beforeAll(async () => {
      inside = await TcpTarget.echo();
    });
    afterAll(() => inside?.close());

    test(
      "a name that leads into a refused network is not dialled, and the event names the rule",
      async () => {
        const gateway = await startFirewall(processes, gatewayRuntime, [
          ...["--allow-egress", `localhost:${inside.port}`, "--allow-egress", `127.0.0.0/8:${inside.port}`],
          ...["--allow-egress", `[::1]:${inside.port}`],
        ]);
        const operator = new Operator(gateway);
        const agent = await startWorkload(processes, agentRuntime, gateway, {
          ...{ name: "payment", args: ["--egress", "127.0.0.1:0"] },
        });
        const door = portOf(await proxyDoor(agent));
        const call = async (host: string): Promise<string> => {
          const program = await RawConnection.open(door);
          program.write(`CONNECT ${host}:${inside.port} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
          const head = await program.until("\r\n\r\n");
          program.destroy();
          return head.slice(9, 12);
        };
        expect(await call("localhost")).toBe("200");
        await operator.apply({
          rules: ["127.0.0.0/8", "::1/128"].map((cidr, at) => ({
            ...{ id: `no-loopback-${at}`, effect: "prevent", destination: { cidr } },
          })),
        });
        for (const host of ["localhost", "LOCALHOST", "127.0.0.1", "[::ffff:127.0.0.1]"]) {
          expect([host, await call(host)]).toEqual([host, "403"]);
        }
        const event = await operator.event(
          "the name",
          ({ rule, destination }) =>
            rule.id?.startsWith("no-loopback") === true && destination?.host === "localhost",
        );
        expect(event).toMatchObject({
          verdict: "dropped",
          effect: "prevent",
          source: { name: "shop/payment" },
        });
      },
      TEST_MS_MAX,
    );
  });
}
