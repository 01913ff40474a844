/**
 * Windows against counters: no sequence of operations loses or makes a byte of credit.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ReceiveWindow, SendWindow } from "../../lib/mux/window.ts";
import { ProtocolError } from "../../lib/wire/errors.ts";
import { WINDOW_BYTES_MAX } from "../../lib/wire/hello.ts";

type Step = { what: "send" | "consume" | "credit" | "resize"; bytes: number };

const arbitraryStep: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom("send", "send", "consume", "consume", "credit", "resize"),
  bytes: fc.integer({ min: 0, max: 5000 }),
});

describe("ReceiveWindow", () => {
  test("and the sender's window conserve the sum, whatever happens", () => {
    let runs = 0;
    fc.assert(fc.property(
      fc.integer({ min: 1, max: 4000 }),
      fc.array(arbitraryStep, { maxLength: 60 }),
      (initialBytes, steps) => {
        runs++;
        const receiver = new ReceiveWindow(initialBytes);
        const sender = new SendWindow(initialBytes);
        // The model: plain counters of what went over the wire.
        let [sent, consumed, creditGiven, windowBytes] = [0, 0, 0, initialBytes];
        for (const { what, bytes } of steps) {
          if (what === "send") {
            const allowed = Math.min(bytes, sender.creditBytes);
            sender.spend(allowed);
            receiver.receive(allowed);
            sent += allowed;
          } else if (what === "consume") {
            const taken = Math.min(bytes, receiver.heldBytes);
            receiver.consume(taken);
            consumed += taken;
          } else if (what === "credit") {
            const returnable = windowBytes - (initialBytes + creditGiven - sent) - (sent - consumed);
            const credit = receiver.takeCredit(bytes);
            expect(credit).toBe(returnable > 0 && returnable >= bytes ? returnable : 0);
            sender.add(credit);
            creditGiven += credit;
          } else {
            windowBytes = Math.max(1, bytes);
            receiver.resize(windowBytes);
          }
          expect(receiver.heldBytes).toBe(sent - consumed);
          expect(receiver.grantedBytes).toBe(initialBytes + creditGiven - sent);
          expect(sender.creditBytes).toBe(receiver.grantedBytes);
          expect(receiver.grantedBytes + receiver.heldBytes + receiver.returnableBytes).toBe(windowBytes);
          expect(Math.min(receiver.heldBytes, receiver.grantedBytes)).toBeGreaterThanOrEqual(0);
        }
      },
    ));
    expect(runs).toBeGreaterThanOrEqual(100);
  });

  test("never grants past its window, and goes on after a shrink", () => {
    const window = new ReceiveWindow(1000);
    window.receive(1000);
    window.resize(100);
    expect(window.returnableBytes).toBe(-900);
    expect(window.takeCredit(1)).toBe(0);
    window.consume(900);
    expect(window.takeCredit(1)).toBe(0);
    window.consume(100);
    expect(window.takeCredit(1)).toBe(100);
    expect(window.takeCredit(0)).toBe(0);
  });

  test("refuses a byte more than was granted and stays as it was", () => {
    const window = new ReceiveWindow(10);
    window.receive(4);
    let error: unknown;
    try {
      window.receive(7);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(ProtocolError);
    expect((error as ProtocolError).code).toBe("flowControl");
    expect([window.grantedBytes, window.heldBytes]).toEqual([6, 4]);
    window.receive(6);
    expect(window.grantedBytes).toBe(0);
  });

  test("fails on what its own side must never do", () => {
    const window = new ReceiveWindow(10);
    expect(() => window.consume(1)).toThrow("no more is consumed");
    for (const bytes of [0, -1, WINDOW_BYTES_MAX + 1]) {
      expect(() => window.resize(bytes)).toThrow("within its limits");
    }
  });
});

describe("SendWindow", () => {
  test("takes credit up to 2^31 - 1 and refuses more, as it was", () => {
    const window = new SendWindow(5);
    window.add(WINDOW_BYTES_MAX - 5);
    expect(window.creditBytes).toBe(WINDOW_BYTES_MAX);
    window.add(0);
    expect(() => window.add(1)).toThrow("2^31 - 1");
    expect(() => new SendWindow(0).add(0xffff_ffff)).toThrow("2^31 - 1");
    expect(window.creditBytes).toBe(WINDOW_BYTES_MAX);
  });

  test("cannot spend what it has not", () => {
    const window = new SendWindow(5);
    window.spend(5);
    expect(() => window.spend(1)).toThrow("no more is sent");
    expect(window.creditBytes).toBe(0);
  });
});
