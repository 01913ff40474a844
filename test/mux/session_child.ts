/**
 * Runs sessions and ends them in each way, while their keepalive, HELLO and drain timers are set for long. The process
 * must then end by itself.
 *
 * @module
 */
import process from "node:process";
import { MemoryBudget } from "../../lib/mux/budget.ts";
import { endPair, pattern, readyPair, startPair, until } from "../support/session_pair.ts";

const LONG = { intervalMs: 3_600_000, timeoutMs: 3_600_000 };
const options = { keepalive: LONG, helloTimeoutMs: 3_600_000 };

const closed = await readyPair({ gateway: options, agent: options });
await endPair(closed);

// Closed before HELLO, when the HELLO timer is still set.
const early = startPair({ gateway: options, agent: options });
await endPair(early);

// Closed while a drain waits, and with a budget that looks for stalled readers.
const budget = new MemoryBudget(1 << 20, false, { stalledMs: 3_600_000 });
const drained = await readyPair({ gateway: options, agent: { ...options, budget } });
drained.agent.serve = (_stream, _open, sink) => void (sink.stalled = true);
for (let i = 0; i < 4; i++) drained.gateway.open(false).stream.write(pattern(250_000));
await until(() => budget.pressure > 0.75, "the budget to fill");
void drained.gateway.session.drain(3_600_000, "stopping");
await endPair(drained);

process.stdout.write("over\n");
