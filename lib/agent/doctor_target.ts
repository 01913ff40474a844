/**
 * Whether what the agent is to publish is there: each target is asked as the agent would ask it.
 *
 * One connection for each target, and over it one HEAD request where the target speaks HTTP. An app file is only
 * looked at, never loaded: that would run it.
 *
 * @module
 */
import { statSync } from "node:fs";
import type { Socket } from "node:net";
import {
  type CheckResult,
  type CheckTime,
  fail,
  type Finding,
  ok,
  resultOf,
  runCheck,
  warn,
} from "./check.ts";
import { codeOf, fileCure, isDenied } from "./denied.ts";
import { connectFault, connectTo, type Endpoint, endpointText } from "./doctor_connect.ts";
import { inspectTls } from "./doctor_tls.ts";

/** A service and its target, as written: `http://HOST:PORT`, `tls://…`, `unix:PATH`, `unix+tcp:PATH`, … */
export interface ServiceText {
  readonly service: string;
  readonly target: string;
}

export interface TargetCheckOptions {
  /** Authorities for TLS targets, PEM. */
  readonly ca: string | undefined;
  /** Take any certificate of them. */
  readonly insecure: boolean;
  readonly timeoutMs: number;
  readonly nowMs: number;
}

/** Of an answer that is not read further. */
const HEAD_BYTES_MAX = 16 << 10;

interface Target {
  readonly endpoint: Endpoint;
  readonly secure: boolean;
  readonly speaksHttp: boolean;
}

/** Checks the target of one service. */
export async function checkTarget(
  { service, target: text }: ServiceText,
  options: TargetCheckOptions,
): Promise<CheckResult> {
  const name = `service ${service} at ${text}`;
  const target = readTarget(text);
  if (target === undefined) {
    return resultOf(name, fail("this target cannot be checked", "Write it as netwall-agent --help shows"));
  }
  const { result } = await runCheck(name, options.timeoutMs, async (time) => {
    const outcome = await connectTo(target.endpoint, time);
    if ("error" in outcome) {
      return { finding: connectFault(outcome.error, target.endpoint, options.timeoutMs, "the service") };
    }
    return { finding: await question(target, outcome.socket, options, time) };
  });
  return result;
}

/** Whether the module of an app is there. */
export function checkApp(service: string, file: string): CheckResult {
  const name = `service ${service} from ${file}`;
  try {
    if (statSync(file).isFile()) return resultOf(name, ok("the file is there"));
    return resultOf(name, fail("it is no file", "Give the path of a module"));
  } catch (error) {
    const cure = isDenied(error) ? fileCure(error, file) : "Correct the path of --app";
    return resultOf(name, fail(`the file cannot be read (${codeOf(error)})`, cure));
  }
}

async function question(
  target: Target,
  socket: Socket,
  options: TargetCheckOptions,
  time: CheckTime,
): Promise<Finding> {
  try {
    const { endpoint, secure, speaksHttp } = target;
    if (!secure || "path" in endpoint) {
      return speaksHttp ? await askHead(socket, endpoint, time) : ok("accepts connections");
    }
    const { ca, insecure, nowMs } = options;
    const { host } = endpoint;
    const files = ca === undefined ? {} : { ca };
    const asked = { ...files, host, insecure, time, caFlag: "--target-ca", nowMs };
    return await inspectTls(socket, asked, async (secured, found) => {
      if (!speaksHttp) return found;
      const answer = await askHead(secured, endpoint, time);
      return answer.status === "ok" ? { ...found, detail: `${answer.detail}; ${found.detail}` } : answer;
    });
  } finally {
    socket.destroy();
  }
}

/** Sends one HEAD request and reads the status line of the answer. Any status will do: it speaks HTTP. */
async function askHead(socket: Socket, endpoint: Endpoint, time: CheckTime): Promise<Finding> {
  const host = "path" in endpoint ? "localhost" : endpointText(endpoint);
  const lines = [
    "HEAD / HTTP/1.1",
    `Host: ${host}`,
    "User-Agent: netwall-agent-doctor",
    "Accept: */*",
    "Connection: close",
  ];
  const answer = await Promise.race([firstLine(socket, `${lines.join("\r\n")}\r\n\r\n`), time.soon]);
  const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(answer)?.[1];
  if (status === undefined) {
    if (answer === "late") {
      return fail(
        `it accepts connections and does not answer HEAD / within ${time.timeoutMs} ms`,
        "See why the service hangs, or publish it with tcp:// if it does not speak HTTP",
      );
    }
    if (answer === "") return fail("it ends the connection without an answer", NO_HTTP);
    return fail("its answer is not HTTP", NO_HTTP);
  }
  if (status.startsWith("5")) {
    return warn(`it answers with status ${status}`, "Look into the log of the service");
  }
  return ok(`answers with status ${status}`);
}

const NO_HTTP = "Publish it with tcp://, tls:// or unix+tcp: if it does not speak HTTP/1.1 without TLS";

/** The first line that comes, without its end; empty when the socket ends before. Never rejects. */
function firstLine(socket: Socket, request: string): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.on("data", (chunk: Uint8Array) => {
      for (const byte of chunk) text += String.fromCharCode(byte);
      const end = text.indexOf("\n");
      if (end >= 0) resolve(text.slice(0, end).replace(/\r$/, ""));
      else if (text.length > HEAD_BYTES_MAX) resolve(text.slice(0, HEAD_BYTES_MAX));
    });
    for (const event of ["end", "error", "close"]) socket.on(event, () => resolve(text));
    socket.write(request);
  });
}

function readTarget(text: string): Target | undefined {
  const unix = /^unix(\+tcp)?:(.+)$/.exec(text);
  if (unix !== null) {
    return { endpoint: { path: unix[2] ?? "" }, secure: false, speaksHttp: unix[1] === undefined };
  }
  const [, scheme = "", bracketed, plain, port] =
    /^(https?|tcp|tls):\/\/(?:\[([^\]]+)\]|([^:/]+)):(\d+)$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || port === undefined) return undefined;
  const secure = scheme === "https" || scheme === "tls";
  return { endpoint: { host, port: Number(port) }, secure, speaksHttp: scheme.startsWith("http") };
}
