/**
 * A wall with a target that records, for attacks: after each, the next visitors must get their own answers.
 *
 * @module
 */
import { expect } from "bun:test";
import { RawVisitor, RecordingTarget } from "./raw_http.ts";
import { startWall, type Wall, type WallOptions } from "./wall.ts";

export class AttackRig {
  readonly target = new RecordingTarget();
  #wall: Wall | undefined;
  readonly #visitors: RawVisitor[] = [];
  #checks = 0;

  get wall(): Wall {
    return this.#wall!;
  }

  async start(options: WallOptions = {}): Promise<this> {
    await this.target.listen();
    const agent = { serve: [`web=http://127.0.0.1:${this.target.port}`], ...options.agent };
    this.#wall = await startWall({ ...options, agent });
    return this;
  }

  /** Opens a connection and sends bytes. */
  visit(text: string): RawVisitor {
    const visitor = new RawVisitor(this.wall.port);
    this.#visitors.push(visitor);
    return visitor.send(text);
  }

  /** Sends an attack, and gives what came once the connection ended or an answer is there. */
  async attack(text: string): Promise<string> {
    const visitor = this.visit(text);
    await visitor.until(
      () => visitor.closed || /^HTTP\/1.1 [2-5]/m.test(visitor.text),
      () => `an answer to ${text}`,
    );
    return visitor.text;
  }

  /** Visitors after an attack, one after the other and three at once, so that kept connections are used again. */
  async checkNextVisitors(): Promise<void> {
    const ask = async (): Promise<void> => {
      const tag = `check-${++this.#checks}`;
      const visitor = this.visit(`GET /${tag} HTTP/1.1\r\nHost: x\r\nX-Tag: ${tag}\r\n\r\n`);
      const [answer] = await visitor.answers(1);
      expect([answer?.status, answer?.body]).toEqual([200, `GET /${tag} ${tag}`]);
      visitor.close();
    };
    await ask();
    await Promise.all([ask(), ask(), ask()]);
    await ask();
    expect(this.wall.log.filter((line) => line.includes('"fault"'))).toEqual([]);
  }

  async close(): Promise<void> {
    for (const visitor of this.#visitors) visitor.close();
    await this.#wall?.close();
    this.target.close();
  }
}
