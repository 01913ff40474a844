/**
 * Calls to the outside: what is asked, what is dialled, what comes back when the network does not answer.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import net from "node:net";
import { EgressPolicy } from "../../lib/egress/egress_policy.ts";
import { parseEgressRule } from "../../lib/egress/egress_rule.ts";
import { ADDRESSES_MAX, dialEgress, type DialEgressOptions, type EgressDial } from "../../lib/egress/exit.ts";
import { boundedLookup, type Lookup } from "../../lib/egress/lookup.ts";

const policyOf = (...rules: string[]): EgressPolicy => new EgressPolicy(rules.map(parseEgressRule));
const told = (dial: EgressDial): string => "socket" in dial ? dial.address : dial.refusal.code;
const messageOf = (dial: EgressDial): string => "socket" in dial ? "connected" : dial.refusal.message;

/** Closed after each test. */
const open: (() => unknown)[] = [];
afterEach(async () => {
  // At once, as a server waits for the sockets.
  await Promise.all(open.splice(0).map((close) => close()));
});

async function listen(host = "127.0.0.1"): Promise<number> {
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.end("hello");
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  open.push(() => new Promise((resolve) => server.close(resolve)));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return address.port;
}

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const port = await listen();
  await open.pop()?.();
  return port;
}

/** A socket whose connection never stands: as to an address from which nothing comes back. */
function silentSocket(): net.Socket {
  return new net.Socket();
}

interface Bench {
  /** Names that were looked up. */
  readonly asked: string[];
  /** Addresses that were dialled. */
  readonly dialled: string[];
  readonly sockets: net.Socket[];
  readonly dial: (host: string, port: number, more?: Partial<DialEgressOptions>) => Promise<EgressDial>;
}

/** A gateway whose resolver and network are the test's: nothing leaves the machine. */
function bench(
  policy: EgressPolicy,
  answers: (host: string) => readonly string[] | Promise<readonly string[]>,
  connect: (address: string, port: number) => net.Socket = silentSocket,
): Bench {
  const [asked, dialled, sockets]: [string[], string[], net.Socket[]] = [[], [], []];
  const options = {
    policy,
    lookup: (host: string): Promise<readonly string[]> => {
      asked.push(host);
      return Promise.resolve(answers(host));
    },
    connect: (address: string, port: number): net.Socket => {
      dialled.push(address);
      const socket = connect(address, port);
      sockets.push(socket);
      open.push(() => socket.destroy());
      return socket;
    },
    timeoutMs: 10_000,
  };
  return {
    asked,
    dialled,
    sockets,
    dial: (host, port, more) => dialEgress({ ...options, host, port, ...more }),
  };
}

async function textOf(dial: EgressDial): Promise<string> {
  if (!("socket" in dial)) return messageOf(dial);
  let text = "";
  for await (const chunk of dial.socket) text += String(chunk);
  return text;
}

describe("dialEgress(), before any look-up", () => {
  test("denies what is no host, what has no rule and what is no port", async () => {
    const gateway = bench(policyOf("*:443", "0.0.0.0/0:443"), () => ["1.1.1.1"]);
    const hosts = [
      "",
      "example.com.",
      "2130706433",
      "0x7f.1",
      "127.1",
      "fe80::1%eth0",
      "a\u0000b.com",
      "a\r\nb",
      "a b",
      "bücher.example",
      "a.".repeat(127) + "com",
      "x".repeat(1_000_000),
      "127.0.0.1",
      "[::1]",
      "169.254.169.254",
      "::ffff:10.0.0.1",
    ];
    for (const host of hosts) expect(told(await gateway.dial(host, 443))).toBe("denied");
    for (const port of [80, 0, -443, 65_979, Number.NaN]) {
      expect(told(await gateway.dial("example.com", port))).toBe("denied");
    }
    expect([gateway.asked, gateway.dialled]).toEqual([[], []]);
  });
});

describe("dialEgress(), with the answers of a resolver", () => {
  test("asks once and dials what it judged, when the next answer would be another (DNS rebinding)", async () => {
    const port = await listen();
    let count = 0;
    const gateway = bench(
      policyOf("*:443"),
      () => ++count === 1 ? ["8.8.8.8"] : ["127.0.0.1"],
      () => net.connect({ host: "127.0.0.1", port }),
    );
    const dial = await gateway.dial("Rebind.Example", 443);
    expect(dial).toMatchObject({ address: "8.8.8.8", rule: "*:443", ruleIndex: 0 });
    expect(await textOf(dial)).toBe("hello");
    expect([gateway.asked, gateway.dialled]).toEqual([["rebind.example"], ["8.8.8.8"]]);
  });

  test("leaves out what may not be dialled, and dials the rest", async () => {
    const port = await listen();
    const gateway = bench(
      policyOf("*:443", "10.1.0.0/16:443"),
      () => [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "10.2.0.1",
        "127.1",
        "fe80::1%eth0",
        "9.9.9.9",
      ],
      () => net.connect({ host: "127.0.0.1", port }),
    );
    expect(told(await gateway.dial("mixed.example", 443))).toBe("9.9.9.9");
    expect(gateway.dialled).toEqual(["9.9.9.9"]);
  });

  test("denies a name when none of its addresses may be dialled, whatever kind they are", async () => {
    const refused = [
      "0.0.0.0",
      "127.0.0.1",
      "10.0.0.1",
      "172.16.0.1",
      "192.168.0.1",
      "100.64.0.1",
      "169.254.1.1",
      "169.254.169.254",
      "168.63.129.16",
      "192.0.2.1",
      "198.18.0.1",
      "224.0.0.1",
      "240.0.0.1",
      "255.255.255.255",
      "::",
      "::1",
      "::ffff:127.0.0.1",
      "::127.0.0.1",
      "64:ff9b::7f00:1",
      "2002:7f00:1::",
      "2001::1",
      "100::1",
      "fc00::1",
      "fe80::1",
      "fec0::1",
      "ff02::1",
      "fd00:ec2::254",
      "127.1",
      "2130706433",
      "::1%lo",
    ];
    for (const address of refused) {
      const gateway = bench(policyOf("*:443", "0.0.0.0/0:443", "[::/0]:443"), () => [address]);
      const dial = await gateway.dial("evil.example", 443);
      expect(`${address} ${told(dial)}`).toBe(`${address} denied`);
      expect(gateway.dialled).toEqual([]);
      expect(messageOf(dial)).toMatch(/^egress to evil\.example:443 is refused: /);
    }
    expect(refused).toHaveLength(30);
  });

  test("looks at the first addresses only, and dials none twice", async () => {
    const port = await closedPort();
    const public_ = Array.from({ length: 40 }, (_, index) => `8.8.${index}.8`);
    const gateway = bench(
      policyOf("*:443"),
      () => ["8.8.0.8", "::ffff:8.8.0.8", ...public_],
      () => net.connect({ host: "127.0.0.1", port }),
    );
    expect(told(await gateway.dial("many.example", 443))).toBe("targetRefused");
    expect(gateway.dialled).toEqual(public_.slice(0, ADDRESSES_MAX - 2));
  });

  test("dials the two families by turns", async () => {
    const port = await closedPort();
    const answers = ["2606:4700::1", "2606:4700::2", "2606:4700::3", "8.8.8.1", "8.8.8.2"];
    const gateway = bench(policyOf("*:443"), () => answers, () => net.connect({ host: "127.0.0.1", port }));
    expect(told(await gateway.dial("dual.example", 443))).toBe("targetRefused");
    expect(gateway.dialled).toEqual(["2606:4700::1", "8.8.8.1", "2606:4700::2", "8.8.8.2", "2606:4700::3"]);
  });

  test("tells a name that is unknown, empty, broken or slow", async () => {
    const unknown = Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND" });
    const policy = policyOf("*:443");
    const dials = [
      bench(policy, () => Promise.reject(unknown)).dial("a.example", 443),
      bench(policy, () => []).dial("a.example", 443),
      bench(policy, () => {
        throw new Error("broken");
      }).dial("a.example", 443),
      bench(policy, () => new Promise(() => {})).dial("a.example", 443, { timeoutMs: 20 }),
    ];
    const outcomes = await Promise.all(dials);
    expect(outcomes.map(told)).toEqual(["targetDns", "targetDns", "targetDns", "targetDns"]);
    expect(outcomes.map(messageOf)).toEqual([
      "cannot resolve a.example: ENOTFOUND",
      "cannot resolve a.example: it has no address",
      "cannot resolve a.example: broken",
      "cannot resolve a.example: no answer in time",
    ]);
  });

  test("says so when too many names are looked up", async () => {
    const lookup: Lookup = boundedLookup(() => new Promise(() => {}), { runningMax: 1, waitingMax: 0 });
    const stop = new AbortController();
    const gateway = bench(policyOf("*:443"), () => []);
    const held = gateway.dial("a.example", 443, { lookup, signal: stop.signal });
    expect(told(await gateway.dial("b.example", 443, { lookup }))).toBe("overloaded");
    stop.abort();
    expect(told(await held)).toBe("cancelled");
  });
});

describe("dialEgress(), on the network", () => {
  const connect = (address: string, port: number): net.Socket => net.connect({ host: address, port });

  test("reaches a loopback service when a network names it, by address and by name", async () => {
    const port = await listen();
    const gateway = bench(
      policyOf(`127.0.0.0/8:${port}`, `db.example:${port}`),
      () => ["127.0.0.1"],
      connect,
    );
    const direct = await gateway.dial("127.0.0.1", port);
    expect(direct).toMatchObject({ address: "127.0.0.1", rule: `127.0.0.0/8:${port}`, ruleIndex: 0 });
    expect(await textOf(direct)).toBe("hello");
    expect(gateway.asked).toEqual([]);
    expect(await textOf(await gateway.dial("::ffff:7f00:1", port))).toBe("hello");
    expect(await textOf(await gateway.dial("db.example", port))).toBe("hello");
    expect(told(await gateway.dial("other.example", port))).toBe("denied");
    expect(gateway.dialled).toEqual(["127.0.0.1", "127.0.0.1", "127.0.0.1"]);
  });

  test("goes through the resolver of the system", async () => {
    const port = await listen();
    const gateway = bench(
      policyOf(`127.0.0.0/8:${port}`, `[::1]:${port}`, `localhost:${port}`),
      () => [],
      connect,
    );
    expect(await textOf(await gateway.dial("localhost", port, { lookup: boundedLookup() }))).toBe("hello");
    const gone = await gateway.dial("localhost", port, { lookup: boundedLookup(), policy: policyOf("*:*") });
    expect(told(gone)).toBe("denied");
  });

  test("tells a refused connection, and tries the next address after it", async () => {
    const [port, closed] = [await listen(), await closedPort()];
    const policy = policyOf("127.0.0.0/8:*", "*:*");
    const refused = await bench(policy, () => [], connect).dial("127.0.0.1", closed);
    expect(told(refused)).toBe("targetRefused");
    expect(messageOf(refused)).toBe(
      `cannot connect to 127.0.0.1:${closed}: 127.0.0.1 refused the connection (ECONNREFUSED)`,
    );
    const gateway = bench(policy, () => ["127.0.0.2", "127.0.0.1"], connect);
    expect(told(await gateway.dial("two.example", port))).toBe("127.0.0.1");
    expect(gateway.dialled).toEqual(["127.0.0.2", "127.0.0.1"]);
    expect(gateway.sockets.map((socket) => socket.destroyed)).toEqual([true, false]);
  });

  test("gives a silent address its part of the time only", async () => {
    const port = await listen();
    const gateway = bench(
      policyOf("*:443"),
      () => ["8.8.8.1", "8.8.8.2", "8.8.8.3"],
      (address) => address === "8.8.8.3" ? net.connect({ host: "127.0.0.1", port }) : silentSocket(),
    );
    expect(told(await gateway.dial("slow.example", 443, { timeoutMs: 1_500 }))).toBe("8.8.8.3");
    expect(gateway.sockets.map((socket) => socket.destroyed)).toEqual([true, true, false]);
  });

  test("gives up when all are silent, and leaves nothing half open", async () => {
    const gateway = bench(policyOf("*:443"), () => ["8.8.8.1", "8.8.8.2", "127.0.0.1"]);
    const dial = await gateway.dial("silent.example", 443, { timeoutMs: 60 });
    expect(told(dial)).toBe("targetTimeout");
    expect(messageOf(dial)).toMatch(
      /^cannot connect to silent\.example:443: 8\.8\.8\.1 did not answer in time, /,
    );
    expect(messageOf(dial)).toMatch(/1 more may not be dialled$/);
    expect(gateway.sockets.map((socket) => socket.destroyed)).toEqual([true, true]);
  });

  test("tells by the error of the system, and the most telling of several", async () => {
    const failing = (code: string): net.Socket => {
      const socket = silentSocket();
      queueMicrotask(() => socket.destroy(Object.assign(new Error(code), { code })));
      return socket;
    };
    const cases: readonly (readonly [string[], string])[] = [
      [["ECONNREFUSED"], "targetRefused"],
      [["ECONNRESET"], "targetRefused"],
      [["ETIMEDOUT"], "targetTimeout"],
      [["EHOSTUNREACH"], "targetUnreachable"],
      [["ENETUNREACH"], "targetUnreachable"],
      [["EMFILE"], "targetUnreachable"],
      [["ENETUNREACH", "ECONNREFUSED"], "targetRefused"],
      [["ENETUNREACH", "ETIMEDOUT"], "targetTimeout"],
    ];
    for (const [codes, expected] of cases) {
      const left = [...codes];
      const addresses = codes.map((_, index) => `8.8.8.${index}`);
      const gateway = bench(policyOf("*:443"), () => addresses, () => failing(left.shift() ?? ""));
      expect(told(await gateway.dial("a.example", 443))).toBe(expected);
    }
    expect(cases).toHaveLength(8);
  });

  test("takes an error of the system that is thrown as an answer, and a bug as a bug", async () => {
    const throwing = (error: Error): Promise<EgressDial> =>
      bench(policyOf("*:443"), () => ["8.8.8.8"], () => {
        throw error;
      }).dial("a.example", 443);
    expect(told(await throwing(Object.assign(new Error("too many"), { code: "EMFILE" })))).toBe(
      "targetUnreachable",
    );
    await expect(throwing(new TypeError("no function"))).rejects.toThrow(TypeError);
  });
});

describe("dialEgress(), given up", () => {
  test("asks and dials nothing when it was given up before", async () => {
    const gateway = bench(policyOf("*:443", "8.8.8.8:443"), () => ["8.8.8.8"]);
    const signal = AbortSignal.abort();
    expect(told(await gateway.dial("a.example", 443, { signal }))).toBe("cancelled");
    expect(told(await gateway.dial("8.8.8.8", 443, { signal }))).toBe("cancelled");
    expect([gateway.asked, gateway.dialled]).toEqual([[], []]);
  });

  test("ends a look-up, and dials nothing when the answer comes late", async () => {
    const stop = new AbortController();
    const late = Promise.withResolvers<readonly string[]>();
    const gateway = bench(policyOf("*:443"), () => late.promise);
    const dial = gateway.dial("a.example", 443, { signal: stop.signal });
    stop.abort();
    expect(told(await dial)).toBe("cancelled");
    late.resolve(["8.8.8.8"]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(gateway.dialled).toEqual([]);
  });

  test("destroys what is half open", async () => {
    const stop = new AbortController();
    const dialled = Promise.withResolvers<void>();
    const gateway = bench(policyOf("*:443"), () => ["8.8.8.8", "8.8.4.4"], () => {
      dialled.resolve();
      return silentSocket();
    });
    const dial = gateway.dial("a.example", 443, { signal: stop.signal });
    await dialled.promise;
    stop.abort();
    expect(told(await dial)).toBe("cancelled");
    expect(gateway.dialled).toEqual(["8.8.8.8"]);
    expect(gateway.sockets.map((socket) => socket.destroyed)).toEqual([true]);
  });

  test("does not touch a connection that stands already", async () => {
    const port = await listen();
    const stop = new AbortController();
    const gateway = bench(policyOf(`127.0.0.1:${port}`), () => [], (host) => net.connect({ host, port }));
    const dial = await gateway.dial("127.0.0.1", port, { signal: stop.signal, timeoutMs: 5_000 });
    stop.abort();
    expect(await textOf(dial)).toBe("hello");
  });

  test("survives an error of a connection that nobody listens to yet", async () => {
    const port = await listen();
    const gateway = bench(policyOf(`127.0.0.1:${port}`), () => [], (host) => net.connect({ host, port }));
    const dial = await gateway.dial("127.0.0.1", port);
    expect(told(dial)).toBe("127.0.0.1");
    const [socket] = gateway.sockets;
    const closed = new Promise((resolve) => socket?.once("close", resolve));
    socket?.destroy(new Error("reset by peer"));
    await closed;
    expect(socket?.destroyed).toBe(true);
  });
});
