/**
 * Every setting of the gateway and of its commands: name, meaning, default and bounds.
 *
 * The keys are the names in the file; `lib/settings.ts` makes flags and environment names from them. Durations
 * arrive in milliseconds and sizes in bytes.
 *
 * @module
 */

import { z } from "zod";
import { type EgressRule, EgressRuleError, parseEgressRule } from "../egress/egress_rule.ts";
import { parseRoute, type Route, RouteError, Router } from "../routing/router.ts";
import { TlsRouter } from "../routing/tls_router.ts";
import { quoted } from "../printable.ts";
import { flagsOnly } from "../settings.ts";
import { parseServiceName } from "../service_name.ts";
import {
  cidr,
  domainName,
  formatListenAddress,
  type ListenAddress,
  listenAddress,
  parseListenAddress,
} from "./listen.ts";
import { isRawTarget, target } from "./addresses.ts";
import { eventsSection, firewallSetting, learningSection, modeSetting } from "./firewall_config.ts";
import { logConfig } from "./log_config.ts";
import {
  count,
  duration,
  filePath,
  leaf,
  list,
  namespaceName,
  serviceOrAny,
  size,
  toggle,
  ValueError,
  word,
  type Written,
} from "./units.ts";

const KiB = 2 ** 10;
const MiB = 2 ** 20;
const DAY_MS = 86_400_000;
/** The longest life of a token: ten years. */
export const TOKEN_TTL_MS_MAX = 3650 * DAY_MS;

/** `ROUTE=SERVICE`. */
function route(): z.ZodType<Route, Written> {
  return leaf("ROUTE=SERVICE", parseRoute, RouteError);
}

/** A door for raw connections. */
export interface TcpDoor {
  readonly address: ListenAddress;
  readonly service: string;
}

/** `ADDR=SERVICE`. */
function tcpDoor(): z.ZodType<TcpDoor, Written> {
  return leaf("ADDR=SERVICE", (text) => {
    const at = text.lastIndexOf("=");
    if (at < 0) {
      throw new ValueError(`${quoted(text)} names no service: write it as 0.0.0.0:5432=db`);
    }
    return {
      address: parseListenAddress(text.slice(0, at), false),
      service: parseServiceName(text.slice(at + 1)),
    };
  });
}

/** A rule of what agents may call. */
function egressRule(): z.ZodType<EgressRule, Written> {
  return leaf("HOST:PORT", parseEgressRule, EgressRuleError);
}

const limits = z.strictObject({
  headBytesMax: size({ min: KiB, max: 64 * KiB }).prefault("32KiB")
    .describe("Largest head of a request; a larger one gets 431"),
  bodyBytesMax: size().prefault("0").describe(
    "Largest body of a request; a larger one gets 413; 0 is no limit",
  ),
  headTimeout: duration({ min: 100 }).prefault("10s").describe("Time a visitor has to send a request head"),
  answerTimeout: duration().prefault("60s")
    .describe("Time a target has to send the head of its answer, then 504; 0 is no limit"),
  idleTimeout: duration().prefault("0")
    .describe(
      "Time an exchange may pass no byte either way; 0 is no limit, as event streams are silent for long",
    ),
  connectTimeout: duration({ min: 100 }).prefault("10s").describe(
    "Time to reach a host for an agent that calls the outside",
  ),
  keepAliveTimeout: duration({ min: 1000 }).prefault("65s")
    .describe("Time a visitor's connection is kept without a request"),
  connectionsMax: count({ min: 1, max: 1_000_000 }).prefault(10_000).describe(
    "Open connections of visitors at one door, and calls of agents",
  ),
  streamsMax: count({ min: 1, max: 1_000_000 }).prefault(4096).describe(
    "Open exchanges on one link; more get 503",
  ),
  memory: size({ min: MiB }).prefault("128MiB")
    .describe("Body bytes held for slow readers, in the whole process"),
  sessionWindow: size({ min: 64 * KiB, max: 1024 * MiB }).prefault("32MiB")
    .describe("Body bytes under way on one link"),
  grace: duration().prefault("30s").describe("Time for open exchanges to finish when the gateway stops"),
}).prefault({}).describe("What bounds a visitor, a link and the process");

/** The directory with the signing key, the store and the lists of tokens. */
const data = filePath("DIR").prefault("./netwall-data").describe(
  "Directory of the key, the store and the list of tokens",
);

/** The address of the API. Commands take URLs under the same name in the environment: these are not for listening. */
const apiAddress = listenAddress().prefault("127.0.0.1:9090").describe(
  "Address of the API of operators, or off",
)
  .meta({ environmentNot: /^https?:\/\//i });

/** The settings of `netwall-gateway serve`. */
export const gatewayConfig = z.strictObject({
  http: listenAddress().prefault("0.0.0.0:8080").describe("Address for HTTP from visitors, or off"),
  https: listenAddress().prefault("off").describe("Address for HTTPS from visitors; needs --cert and --key"),
  cert: list(filePath("FILE")).default([]).describe("Certificate chain in PEM; one for each --key"),
  key: list(filePath("FILE")).default([]).describe(
    "Private key in PEM; one for each --cert, in the same order",
  ),
  sni: listenAddress().prefault("off")
    .describe(
      "Address where TLS is passed through by server name; other names end here, with --cert and --key",
    ),
  tcp: list(tcpDoor()).default([]).describe("Address for raw connections of visitors, and their service"),
  allowEgress: list(egressRule()).default([])
    .describe("Where agents may call: HOST:PORT, *.HOST:PORT, *:PORT, or ADDRESS or CIDR for inner networks"),
  redirectHttps: toggle().default(false).describe("Answer plain HTTP with a redirect (308) to HTTPS"),
  link: list(listenAddress(false)).default([])
    .describe("One more address for links from agents; they are always welcome on the public ones"),
  admin: apiAddress,
  domain: domainName().optional().describe("Domain below which every service S is at S.NAME"),
  route: list(route()).default([])
    .describe(
      "Route to a service: HOST, HOST/PATH, *.HOST or * for all else; HOST@ALPN for TLS passed through",
    ),
  trustedProxy: list(cidr()).default([]).describe(
    "Network of proxies whose X-Forwarded-* headers are believed",
  ),
  mode: modeSetting,
  firewall: firewallSetting,
  data,
  config: filePath("FILE").optional().describe("Settings in YAML, under the same names"),
  learning: learningSection,
  events: eventsSection,
  limits,
  log: logConfig,
}).superRefine((config, context) => {
  const fault = (key: string, message: string): void => {
    context.addIssue({ code: "custom", path: [key], message });
  };
  const { http, https, cert, key, redirectHttps, link, sni } = config;
  if (cert.length !== key.length) {
    fault(
      cert.length > key.length ? "cert" : "key",
      `${cert.length} certificates and ${key.length} keys: give one --key for each --cert`,
    );
  } else if (https.kind !== "off" && cert.length === 0) {
    fault("https", "HTTPS needs a certificate: add --cert FILE --key FILE");
  }
  if (https.kind === "off" && sni.kind === "off" && cert.length > 0) {
    fault("cert", "a certificate is given but HTTPS is off: add --https 0.0.0.0:443");
  }
  if (https.kind === "unix") fault("https", "HTTPS is for visitors from a network: write 0.0.0.0:443");
  if (sni.kind === "unix") fault("sni", "server names are for visitors from a network: write 0.0.0.0:443");
  const takesHttps = https.kind !== "off" || sni.kind !== "off" && cert.length > 0;
  if (redirectHttps && (!takesHttps || http.kind === "off")) {
    fault("redirectHttps", "redirecting needs both HTTP and HTTPS: set --http and --https");
  }
  if (sni.kind === "off" && config.route.some((route) => route.alpn !== undefined)) {
    fault("route", "a route with @ is for TLS that is passed through: add --sni 0.0.0.0:443");
  }
  const takesLinks = http.kind !== "off" || takesHttps || link.length > 0;
  if (http.kind === "off" && https.kind === "off" && sni.kind === "off" && config.tcp.length === 0) {
    const noLink = takesLinks ? "" : ", and agents have no address either";
    fault("http", `visitors have no address${noLink}: set --http or --https`);
  } else if (!takesLinks) {
    fault("link", "agents have no address: set --link, --http or --https");
  }
  checkRoutes(config.route, fault);
  checkListeners(config, fault);
});

export type GatewayConfig = z.output<typeof gatewayConfig>;

function checkRoutes(routes: readonly Route[], fault: (key: string, message: string) => void): void {
  try {
    new Router(routes);
    new TlsRouter(routes);
  } catch (error) {
    if (!(error instanceof RouteError)) throw error;
    fault("route", error.message);
  }
}

/** Two listeners on one address: the second would fail much later, with a message that names neither. */
function checkListeners(
  config: Record<"http" | "https" | "admin" | "sni", ListenAddress> & {
    link: ListenAddress[];
    tcp: TcpDoor[];
  },
  fault: (key: string, message: string) => void,
): void {
  const taken = new Map<string, string>();
  const named: [string, ListenAddress][] = [
    ["http", config.http],
    ["https", config.https],
    ["admin", config.admin],
    ["sni", config.sni],
    ...config.link.map((address): [string, ListenAddress] => ["link", address]),
    ...config.tcp.map(({ address }): [string, ListenAddress] => ["tcp", address]),
  ];
  for (const [key, address] of named) {
    if (address.kind === "off" || (address.kind === "tcp" && address.port === 0)) continue;
    const text = formatListenAddress(address);
    const other = taken.get(text);
    if (other === undefined) taken.set(text, key);
    // One port for both: names that are not passed through end in the gateway's own HTTPS.
    else if (key === "sni" && other === "https") continue;
    else fault(key, `${key} and ${other} both listen on ${text}: give one another address`);
  }
}

const NAME_RULE = "use letters, digits, dots, hyphens and underscores, at most 128, such as web-1";

/** The name of an agent. */
function agentName(): z.ZodType<string, Written> {
  return word("AGENT", /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, NAME_RULE);
}

/** The settings of `netwall-gateway token`. */
export const tokenConfig = z.strictObject({
  // The agent has names such as NETWALL_SERVE too, and means something else by them.
  ...flagsOnly({
    name: agentName().describe("Name of the agent, shown in logs and events"),
    serve: list(serviceOrAny()).default([]).describe("Service the agent may publish, or * for any"),
    reach: list(serviceOrAny()).default([]).describe("Service of other agents it may call, or * for any"),
    egress: toggle().default(false).describe("Allow calls to the outside through the gateway"),
    namespace: namespaceName().prefault("default").describe("Namespace of the container"),
    image: word("IMAGE", /^[\x21-\x7e]{1,512}$/, "write a reference such as ghcr.io/acme/web:1.2").optional()
      .describe(
        "Image of the container, such as ghcr.io/acme/web:1.2; policies are about it, without its tag",
      ),
    ttl: duration({ min: 1000, max: TOKEN_TTL_MS_MAX }).prefault("90d").describe(
      "Life of the token, at most 3650d",
    ),
  }),
  data,
});

export type TokenConfig = z.output<typeof tokenConfig>;

/** The settings of `netwall-gateway token list`. */
export const tokenListConfig = z.strictObject({ data });

/** The settings of `netwall-gateway token revoke`. */
export const tokenRevokeConfig = z.strictObject({
  id: word("ID", /^[\x21-\x7e]{1,8192}$/, "write the id of a token, a token, or the name of an agent")
    .describe("Id of a token, the token itself, or an agent's name for all of its tokens")
    .meta({ positional: true }),
  data,
});

/** The settings of `netwall-gateway quickstart`. */
export const quickstartConfig = z.strictObject({
  target: target().optional().describe("What to publish, such as http://localhost:3000; nothing is a demo")
    .meta({ positional: true }),
  http: listenAddress(false).prefault("127.0.0.1:8080").describe("Address for HTTP from visitors"),
  admin: apiAddress,
  ...flagsOnly({
    sampleTraffic: toggle().default(true).describe(
      "Let visitors come to the sample, and strangers after a while",
    ),
  }),
}).superRefine(({ target }, context) => {
  if (target === undefined || !isRawTarget(target)) return;
  const message = "this tries out HTTP: write http://HOST:PORT; raw services need a gateway with --tcp";
  context.addIssue({ code: "custom", path: ["target"], message });
});

export type QuickstartConfig = z.output<typeof quickstartConfig>;
