/**
 * Every setting of the agent: name, meaning, default and bounds.
 *
 * The keys are the names in the file; `lib/settings.ts` makes flags and environment names from them. Durations
 * arrive in milliseconds and sizes in bytes. The map from service to target is known here alone: no gateway can
 * add to it.
 *
 * @module
 */

import { z } from "zod";
import { gatewayAddress, isRawTarget, serviceTarget } from "./addresses.ts";
import { doorAddress, formatDoorAddress, proxyProtocol, serviceDoor } from "./door.ts";
import { logConfig } from "./log_config.ts";
import {
  choice,
  count,
  duration,
  filePath,
  leaf,
  list,
  secret,
  serviceName,
  size,
  toggle,
  ValueError,
  word,
  type Written,
} from "./units.ts";

const KiB = 2 ** 10;
const MiB = 2 ** 20;

const limits = z.strictObject({
  streamsMax: count({ min: 1, max: 1_000_000 }).prefault(4096).describe("Open exchanges on one link"),
  memory: size({ min: MiB }).prefault("64MiB").describe(
    "Body bytes held for slow readers, in the whole process",
  ),
  sessionWindow: size({ min: 64 * KiB, max: 1024 * MiB }).prefault("32MiB")
    .describe("Body bytes under way on one link"),
  connectTimeout: duration({ min: 100 }).prefault("10s").describe("Time to connect to a gateway or a target"),
  idleTimeout: duration().prefault("0").describe(
    "Time a raw connection may pass no byte either way; 0 is no limit",
  ),
  connectionsMax: count({ min: 1, max: 1_000_000 }).prefault(4096).describe("Open connections at one door"),
  grace: duration().prefault("30s").describe("Time for open exchanges to finish when the agent stops"),
}).prefault({}).describe("What bounds a link and the process");

/** The settings of `netwall-agent run`. */
export const agentConfig = z.strictObject({
  gateway: list(gatewayAddress()).default([])
    .describe("Gateway to dial: wss://HOST, ws://HOST:PORT or unix:PATH; several are all held"),
  token: secret("TOKEN").optional()
    .describe("Token from the gateway; other users of the machine can read flags, prefer --token-file"),
  tokenFile: filePath("FILE").optional().describe("File that holds the token"),
  serve: list(serviceTarget()).default([])
    .describe(
      "Service and its target: http(s)://HOST:PORT, unix:PATH, or raw: tcp://, tls://, unix+tcp:PATH",
    ),
  proxyProtocol: list(proxyProtocol()).default([]).describe(
    "Raw service whose target wants a PROXY protocol header, and which",
  ),
  reach: list(serviceDoor()).default([])
    .describe("Another agent's service, and the local door to it: 127.0.0.1:PORT or unix:PATH"),
  egress: doorAddress().optional()
    .describe(
      "Local HTTP and CONNECT proxy whose traffic leaves at the gateway: 127.0.0.1:PORT or unix:PATH",
    ),
  containerId: word("ID", /^[0-9a-f]{12,64}$/, "an id has 12 to 64 hexadecimal digits in lower case")
    .optional()
    .describe("Id of this container for events, where it cannot be told from inside"),
  containerName: word("NAME", /^[\x21-\x7e]{1,253}$/, "a name has up to 253 characters and no space")
    .optional()
    .describe("Name of this container for events, where it cannot be told from inside"),
  requireWall: toggle().default(false).describe("Serve nothing while others could reach a socket in here"),
  auditWall: toggle().default(true).describe(
    "Look every minute what listens here; =false where the network is shared with other programs, as with a host's",
  ),
  seal: sealMode().prefault("false").describe(
    "Dial and listen nowhere else, by the kernel; =require insists",
  ),
  app: filePath("FILE").optional().describe(
    "Module with a fetch app to publish without any port; needs --as",
  ),
  as: serviceName().optional().describe("Service name of the app"),
  replay: choice("exact", "fetch").prefault("exact")
    .describe("Engine for HTTP targets; fetch is for runtimes without sockets"),
  links: count({ min: 1, max: 8 }).prefault(1).describe("Links to each gateway"),
  gatewayCa: filePath("FILE").optional().describe("Certificates in PEM to trust for gateways"),
  gatewayCert: filePath("FILE").optional().describe(
    "Client certificate in PEM for gateways; needs --gateway-key",
  ),
  gatewayKey: filePath("FILE").optional().describe("Key of the client certificate in PEM"),
  targetCa: filePath("FILE").optional().describe("Certificates in PEM to trust for https targets"),
  targetInsecure: toggle().default(false).describe("Take any certificate from https targets"),
  config: filePath("FILE").optional().describe("Settings in YAML, under the same names"),
  limits,
  log: logConfig,
}).superRefine((config, context) => {
  const fault = (key: string, message: string): void => {
    context.addIssue({ code: "custom", path: [key], message });
  };
  if (config.gateway.length === 0) fault("gateway", "no gateway is given: add --gateway wss://HOST");
  if (config.token === undefined && config.tokenFile === undefined) {
    fault("token", "no token is given: set NETWALL_TOKEN or add --token-file FILE");
  }
  if (config.token !== undefined && config.tokenFile !== undefined) {
    fault("tokenFile", "both a token and a token file are given: keep one");
  }
  if (config.app !== undefined && config.as === undefined) {
    fault("app", "the app has no service name: add --as SERVICE");
  }
  if (config.as !== undefined && config.app === undefined) {
    fault("as", "there is no app to name: add --app FILE");
  }
  if ((config.gatewayCert === undefined) !== (config.gatewayKey === undefined)) {
    const [given, missing] = config.gatewayKey === undefined ? ["Cert", "key"] : ["Key", "cert"];
    fault(`gateway${given}`, `certificate and key go together: add --gateway-${missing} FILE`);
  }
  if (config.requireWall && !config.auditWall) {
    fault("auditWall", "--require-wall needs the audit: leave out --audit-wall=false, or --require-wall");
  }
  if (config.targetInsecure && config.targetCa !== undefined) {
    fault("targetInsecure", "any certificate is taken, so --target-ca has no effect: keep one");
  }
  const opensDoor = config.reach.length > 0 || config.egress !== undefined;
  if (config.serve.length === 0 && config.app === undefined && !opensDoor) {
    fault("serve", "nothing to publish: add --serve web=http://localhost:3000, or --app FILE --as SERVICE");
  }
  const names = new Set<string>(config.as === undefined ? [] : [config.as]);
  config.serve.forEach(({ service }, index) => {
    if (names.has(service)) {
      const message = `service ${service} is given twice: give one another name`;
      context.addIssue({ code: "custom", path: ["serve", index], message });
    }
    names.add(service);
  });
  const raw = new Set(config.serve.filter(({ target }) => isRawTarget(target)).map(({ service }) => service));
  const asked = new Set<string>();
  config.proxyProtocol.forEach(({ service }, index) => {
    const wrong = asked.has(service)
      ? `${service} is given twice: keep one`
      : raw.has(service)
      ? undefined
      : `${service} is no raw service of this agent: add --serve ${service}=tcp://HOST:PORT`;
    asked.add(service);
    if (wrong !== undefined) {
      context.addIssue({ code: "custom", path: ["proxyProtocol", index], message: wrong });
    }
  });
  const doors = [...config.reach.map(({ address }) => address), ...config.egress ? [config.egress] : []]
    .filter((address) => address.kind === "unix" || address.port !== 0).map(formatDoorAddress);
  const twice = doors.find((address, index) => doors.indexOf(address) !== index);
  if (twice !== undefined) fault("reach", `two doors are at ${twice}: give one another address`);
});

/** How the agent seals itself: not, if it can, or else not at all. */
export type SealMode = "off" | "on" | "require";

function sealMode(): z.ZodType<SealMode, Written> {
  return leaf("require", (text): SealMode => {
    if (text === "require") return "require";
    if (text === "true" || text === "1") return "on";
    if (text === "false" || text === "0") return "off";
    throw new ValueError(
      `${
        JSON.stringify(text.slice(0, 24))
      } is no way to seal: write true, false or require; as flags --seal or --seal=require`,
    );
  }).meta({ switch: true });
}

export type AgentConfig = z.output<typeof agentConfig>;
