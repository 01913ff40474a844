/**
 * A session that is attacked by its peer, and another in the same process that must not notice.
 *
 * @module
 */
import { expect } from "bun:test";
import type { MemoryLink } from "../../lib/link/memory.ts";
import { MemoryBudget } from "../../lib/mux/budget.ts";
import type { SessionOptions } from "../../lib/mux/session_options.ts";
import type { Hello } from "../../lib/wire/hello.ts";
import {
  endPair,
  pattern,
  type RawPeer,
  readyPair,
  RESPONSE,
  type SessionPair,
  settle,
  type Side,
  startAgainstRaw,
  until,
} from "./session_pair.ts";

export class UnderAttack {
  constructor(
    readonly side: Side,
    readonly peer: RawPeer,
    readonly links: [MemoryLink, MemoryLink],
    readonly budget: MemoryBudget,
    readonly bystander: SessionPair,
  ) {}

  /** Waits until the session has ended with `code`, and checks that nothing else has. */
  async endsWith(code: string): Promise<void> {
    await until(() => this.side.end !== undefined, `the session to end with ${code}`);
    expect([this.side.end!.code, this.side.ends, this.side.end!.fault]).toEqual([code, 1, undefined]);
    for (const sink of this.side.sinks) expect(sink.late).toBe(0);
    expect([this.side.session.streamsOpen, this.side.session.heldBytes]).toEqual([0, 0]);
    await this.leaveTheRestAlone();
  }

  /** Checks that the session lives, and ends it. */
  async lives(): Promise<void> {
    await settle();
    expect(this.side.end).toBeUndefined();
    this.side.session.close("none", "The test is over");
    await this.leaveTheRestAlone();
  }

  /** The session beside it still carries an exchange, and the budget they share is empty at the end. */
  async leaveTheRestAlone(): Promise<void> {
    const { gateway, agent } = this.bystander;
    expect([gateway.end, agent.end]).toEqual([undefined, undefined]);
    agent.serve = (stream) => void stream.sendHead(RESPONSE, pattern(500), true);
    const { sink } = gateway.open();
    await until(() => sink.ended, "the other session to answer");
    expect([sink.bytes, sink.sound]).toEqual([500, true]);
    await endPair(this.bystander);
    expect(this.budget.heldBytes).toBe(0);
  }
}

/**
 * @param hello What the attacker's HELLO says; null for none.
 * @param budget Shared with the bystander.
 */
export async function attack(
  role: "gateway" | "agent",
  options: Partial<SessionOptions> = {},
  hello: Partial<Hello> | null = {},
  budget: MemoryBudget = new MemoryBudget(64 << 20, true),
): Promise<UnderAttack> {
  const bystander = await readyPair({ gateway: { budget }, agent: { budget } });
  const { side, peer, links } = await startAgainstRaw(role, { ...options, budget }, hello);
  return new UnderAttack(side, peer, links, budget, bystander);
}
