/**
 * The way to a gateway, step by step as `dialLink` takes it, so that the step which fails has a line of its own: name,
 * proxy, connection, TLS, and at last a true link with the token.
 *
 * The link takes no traffic: it waits for the gateway's HELLO, sends none, and leaves. So no gateway ever counts it
 * among those that serve.
 *
 * @module
 */
import type { Socket } from "node:net";
import { clearTimeout, setTimeout } from "node:timers";
import { dialLink, formatGateway, type GatewayAddress } from "../link/dial.ts";
import type { Link } from "../link/link.ts";
import { connectThroughProxy, type Environment, type ProxyAddress, proxyFor } from "../link/proxy.ts";
import { LinkRefusedError } from "../link/refusal.ts";
import { FrameDecoder } from "../wire/codec.ts";
import { ProtocolError } from "../wire/errors.ts";
import { FrameType } from "../wire/frame.ts";
import { agreeVersion, decodeHello, type Hello, helloField } from "../wire/hello.ts";
import {
  type Checked,
  type CheckResult,
  type CheckTime,
  fail,
  type Finding,
  ok,
  resultOf,
  runCheck,
} from "./check.ts";
import {
  checkConnect,
  checkName,
  connectFault,
  connectTo,
  endpointText,
  type HostEndpoint,
  isName,
} from "./doctor_connect.ts";
import { lackingFlags, NOT_CAPABLE } from "./denied.ts";
import { inspectTls, type TlsFiles } from "./doctor_tls.ts";

export interface GatewayCheckOptions {
  readonly gateway: GatewayAddress;
  /** A secret. Undefined when there is none: then no link is made. */
  readonly token: string | undefined;
  readonly tls: TlsFiles;
  /** Where the proxy variables are read. */
  readonly env: Environment;
  readonly timeoutMs: number;
  readonly nowMs: number;
}

const WHOSE = "the gateway";

/** How long the goodbye of the doctor's link may take. */
const GOODBYE_MS_MAX = 1_000;

/** Checks the way to one gateway. It ends at the first step that fails: the others would only follow from it. */
export async function checkGateway(options: GatewayCheckOptions): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  const passed = (checked: Checked<true>): boolean => {
    results.push(checked.result);
    return checked.value === true;
  };
  for (const step of stepsTo(options)) if (!passed(await step())) return results;
  if (options.token !== undefined) passed(await checkLink(options, options.token));
  return results;
}

type Step = () => Promise<Checked<true>>;

function stepsTo(options: GatewayCheckOptions): Step[] {
  const { gateway, timeoutMs, env } = options;
  if (gateway.kind === "unix") {
    return [() => checkConnect(`connect unix:${gateway.path}`, { path: gateway.path }, timeoutMs, WHOSE)];
  }
  const { host, port, secure } = gateway;
  let proxy: ProxyAddress | undefined;
  try {
    proxy = proxyFor(secure, { host, port }, env);
  } catch (error) {
    const finding = fail(messageOf(error), "Correct the proxy variables, or unset them");
    return [() => Promise.resolve({ result: resultOf("proxy", finding), value: undefined })];
  }
  const near: HostEndpoint = proxy ?? { host, port };
  const steps: Step[] = [];
  if (isName(near.host)) steps.push(() => checkName(near, timeoutMs));
  if (proxy === undefined) {
    steps.push(() => checkConnect(`connect ${endpointText(near)}`, near, timeoutMs, WHOSE));
  } else {
    steps.push(() => checkProxy(proxy, { host, port }, timeoutMs));
  }
  if (secure) steps.push(() => checkTls(options, { host, port }, proxy));
  return steps;
}

/** Asks the proxy for a connection to the gateway. Its name and password are never shown. */
function checkProxy(proxy: ProxyAddress, target: HostEndpoint, timeoutMs: number): Promise<Checked<true>> {
  return runCheck(`proxy ${endpointText(proxy)}`, timeoutMs, async (time) => {
    const socket = await openSocket(target, proxy, time);
    if ("status" in socket) return { finding: socket };
    socket.destroy();
    return { finding: ok(`connects to ${endpointText(target)}`), value: true };
  });
}

function checkTls(
  options: GatewayCheckOptions,
  target: HostEndpoint,
  proxy: ProxyAddress | undefined,
): Promise<Checked<true>> {
  return runCheck(`tls ${endpointText(target)}`, options.timeoutMs, async (time) => {
    const socket = await openSocket(target, proxy, time);
    if ("status" in socket) return { finding: socket };
    const { tls, nowMs } = options;
    const question = { ...tls, host: target.host, time, caFlag: "--gateway-ca", nowMs };
    const finding = await inspectTls(socket, question, (_secured, found) => Promise.resolve(found));
    return finding.status === "fail" ? { finding } : { finding, value: true };
  });
}

/** A socket to the gateway, straight or through the proxy; or why there is none. */
async function openSocket(
  target: HostEndpoint,
  proxy: ProxyAddress | undefined,
  time: CheckTime,
): Promise<Socket | Finding> {
  if (proxy === undefined) {
    const outcome = await connectTo(target, time);
    return "socket" in outcome ? outcome.socket : connectFault(outcome.error, target, time.timeoutMs, WHOSE);
  }
  if (lackingFlags(proxy) !== undefined) return connectFault(NOT_CAPABLE, proxy, time.timeoutMs, WHOSE);
  const limit = new AbortController();
  void time.soon.then(() => limit.abort(new Error(`no answer within ${time.timeoutMs} ms`)));
  try {
    return await connectThroughProxy(proxy, target, limit.signal);
  } catch (error) {
    const message = messageOf(error);
    const cure = /\(status 4(?!07)/.test(message)
      ? `Let the proxy connect to ${endpointText(target)}, or list the gateway in NO_PROXY`
      : "Correct the proxy in HTTPS_PROXY, or list the gateway in NO_PROXY";
    return fail(message, cure);
  }
}

/** Makes a true link, and leaves before it could take traffic. */
function checkLink(options: GatewayCheckOptions, token: string): Promise<Checked<true>> {
  const { gateway, tls, env, timeoutMs } = options;
  return runCheck(`gateway ${formatGateway(gateway)}`, timeoutMs, async (time) => {
    const startMs = performance.now();
    const limit = new AbortController();
    void time.soon.then(() => limit.abort());
    let link: Link;
    try {
      const handshakeTimeoutMs = timeoutMs;
      link = await dialLink({ gateway, token, tls, env, handshakeTimeoutMs, signal: limit.signal });
    } catch (error) {
      return { finding: limit.signal.aborted ? silence(timeoutMs) : refusal(error) };
    }
    const linkedMs = Math.round(performance.now() - startMs);
    const finding = await greet(link, time, linkedMs);
    return finding.status === "fail" ? { finding } : { finding, value: true };
  });
}

function silence(timeoutMs: number): Finding {
  return fail(
    `it accepts connections and does not answer within ${timeoutMs} ms`,
    "Check that a netwall gateway listens there, and that nothing between holds back WebSocket upgrades",
  );
}

/** Waits for HELLO, says goodbye, and waits a moment for the goodbye to be heard. */
async function greet(link: Link, time: CheckTime, linkedMs: number): Promise<Finding> {
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<string>();
  const { promise: hello, resolve: onHello } = Promise.withResolvers<Hello | Error>();
  const decoder = new FrameDecoder((type, _flags, _id, payload) => {
    if (type === FrameType.hello) onHello(decodeHello(payload));
    else onHello(new ProtocolError("protocol", "It does not begin with HELLO"));
  });
  link.start({
    onMessage: (chunk) => {
      try {
        decoder.push(chunk);
      } catch (error) {
        onHello(error as Error);
      }
    },
    onDrain: () => {},
    onClose: ({ message }) => onClosed(message),
  });
  const answer = await Promise.race([hello, closed, time.soon]);
  link.close("This was netwall-agent doctor");
  const timers: ReturnType<typeof setTimeout>[] = [];
  const patience = new Promise<void>((resolve) => timers.push(setTimeout(resolve, GOODBYE_MS_MAX)));
  await Promise.race([closed, patience, time.soon]);
  timers.forEach(clearTimeout);
  link.terminate("This was netwall-agent doctor");
  if (answer === "late") return silence(time.timeoutMs);
  if (typeof answer === "string") {
    return fail(`it takes the link and ends it at once: ${answer}`, "Look into the log of the gateway");
  }
  try {
    if (answer instanceof Error) throw answer;
    agreeVersion(answer);
    const version = helloField(answer, "version");
    return ok(`linked in ${linkedMs} ms${version === undefined ? "" : `, gateway version ${version}`}`);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return fail(error.message, "Bring the agent and the gateway to the same version");
  }
}

/** What a refusal of the token means. Other codes speak for themselves. */
const REFUSALS: ReadonlyMap<string, readonly [why: string, cure: string]> = new Map([
  ["expired", ["the token has expired", "Mint a new one on the gateway with netwall-gateway token"]],
  ["revoked", ["the token was revoked", "Mint a new one on the gateway with netwall-gateway token"]],
  ["signature", [
    "the token is not of this gateway",
    "Mint one on this gateway, or correct --gateway; a gateway that lost its data directory has a new key",
  ]],
  ["malformed", ["it cannot read the token", "Give the token as netwall-gateway token printed it"]],
  ["not_allowed", ["the token does not allow it", "Mint one on the gateway that does"]],
]);

function refusal(error: unknown): Finding {
  if (error instanceof LinkRefusedError) {
    const [why, cure] = REFUSALS.get(error.code ?? "") ?? [];
    if (why !== undefined && cure !== undefined) return fail(`${why} (${error.status}, ${error.code})`, cure);
    if (error.status === 426) {
      return fail(error.message, "Bring the agent and the gateway to the same version");
    }
    if (error.status >= 500) return fail(error.message, "Try again, and look into the log of the gateway");
  }
  const message = messageOf(error);
  if (/client certificate/.test(message)) {
    return fail(message, "Give a certificate that the gateway takes with --gateway-cert and --gateway-key");
  }
  return fail(message, "Check host, port and path of --gateway, and what stands between");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
