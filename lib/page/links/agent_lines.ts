/**
 * What to paste beside a service so that its agent links: for a shell, Docker, Compose and Kubernetes.
 *
 * The token is never a flag, as other users of a machine can read those. What a user wrote is quoted, for the shell
 * and for YAML.
 *
 * @module
 */

/** The first is shown first. */
export const WAYS = ["source", "executable", "docker", "compose", "kubernetes", "bunx"] as const;
export type Way = (typeof WAYS)[number];

/** The ways that start it in a shell of the machine itself. */
const SHELL_COMMANDS: Partial<Record<Way, { readonly title: string; readonly command: string }>> = {
  bunx: { title: "In a shell beside the service", command: "bunx netwall-agent" },
  source: { title: "In a shell beside the service, in a clone of netwall", command: "npx bun agent.ts" },
  executable: { title: "In a shell beside the service", command: "netwall-agent" },
};

/** An agent that is to be started. */
export interface AgentPlan {
  /** As in its token. */
  readonly name: string;
  readonly service: string;
  /** Such as `http://127.0.0.1:3000`. */
  readonly target: string;
  /** Such as `wss://edge.example.com`. */
  readonly gateway: string;
  readonly token: string;
  /** The container that the service runs in. */
  readonly container: string;
}

/** Something to copy. */
export interface Block {
  readonly title: string;
  readonly text: string;
}

/** Where a gateway takes visitors and agents when nothing else is said. */
const PUBLIC_PORT = 8080;

/** What the address of the page makes likely. */
export function likelyGateway({ protocol, hostname }: { protocol: string; hostname: string }): string {
  return protocol === "https:" ? `wss://${hostname}` : `ws://${hostname}:${PUBLIC_PORT}`;
}

/** A name that no agent has: `web-1`, `web-2`. */
export function freeName(service: string, taken: ReadonlySet<string>): string {
  const base = service === "" ? "agent" : service;
  for (let count = 1;; count++) if (!taken.has(`${base}-${count}`)) return `${base}-${count}`;
}

/** Whether a target takes raw connections and not requests. */
export function isRaw(target: string): boolean {
  return /^(?:tcp:|tls:|unix\+tcp:)/.test(target);
}

/** What is wrong with the address of a gateway; `undefined` when nothing is. The agent reads it in the same way. */
export function gatewayFault(text: string): string | undefined {
  if (/^unix:\/(?!\/)[^\s]+$/.test(text)) return undefined;
  const wrong = "write wss://HOST, ws://HOST:PORT or unix:/PATH";
  if (!URL.canParse(text)) return wrong;
  const { protocol, host, username, password, search, hash } = new URL(text);
  if (protocol === "http:" || protocol === "https:") {
    return `write ${protocol === "http:" ? "ws" : "wss"}://${host}`;
  }
  if ((protocol !== "ws:" && protocol !== "wss:") || host === "") return wrong;
  return username + password + search + hash === ""
    ? undefined
    : "write the address alone: no name, query or fragment";
}

/** What is wrong with a target; `undefined` when nothing is. The agent reads it in the same way. */
export function targetFault(text: string): string | undefined {
  if (/^unix(?:\+tcp)?:\/(?!\/)[^\s]+$/.test(text)) return undefined;
  const wrong = "write http://127.0.0.1:3000, tcp://127.0.0.1:5432 or unix:/PATH";
  if (/^\d+$/.test(text)) return `write http://127.0.0.1:${text}`;
  if (!/^(?:https?|tcp|tls):\/\/[^\s]+$/.test(text) || !URL.canParse(text)) return wrong;
  const { protocol, pathname, username, password, search, hash, port, hostname } = new URL(text);
  if (hostname === "") return wrong;
  if ((protocol === "tcp:" || protocol === "tls:") && port === "") return `write the port, too: ${text}:5432`;
  const isAddressAlone = pathname.length <= 1 && username + password + search + hash === "";
  return isAddressAlone ? undefined : "a target is an address alone: paths pass through unchanged";
}

/** What should be known of the address of a gateway before it is used in a way; empty when nothing. */
export function gatewayNote(gateway: string, way: Way): string {
  if (!URL.canParse(gateway) || gateway.startsWith("unix:")) return "";
  const { protocol, hostname } = new URL(gateway);
  const isLoopback = hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
  if (isLoopback && SHELL_COMMANDS[way] === undefined) {
    return `In a container ${hostname} is the container itself: write the gateway's address as it is seen from there.`;
  }
  if (protocol === "ws:" && !isLoopback) {
    return "ws:// is not encrypted: who is on the way can read the token. Use wss:// in networks of others.";
  }
  return "";
}

/** What to paste, in this order. */
export function blocksOf(way: Way, plan: AgentPlan): Block[] {
  const { name, token, container } = plan;
  const args = [`--gateway=${plan.gateway}`, `--serve=${plan.service}=${plan.target}`];
  const words = args.map(shellWord).join(" ");
  // The leading space keeps it out of the history of most shells.
  const inShell = (command: string): string => ` NETWALL_TOKEN=${shellWord(token)} ${command}`;
  const shell = SHELL_COMMANDS[way];
  if (shell !== undefined) return [{ title: shell.title, text: inShell(`${shell.command} ${words}`) }];
  if (way === "docker") {
    const network = `--network=${shellWord(`container:${container}`)}`;
    const locks = "--read-only --cap-drop=ALL --security-opt=no-new-privileges";
    const run = `docker run --detach --name=${name}-agent ${network} ${locks} --env=NETWALL_TOKEN`;
    return [{
      title: "Where the container of the service runs",
      text: inShell(`${run} netwall-agent run ${words}`),
    }];
  }
  return way === "compose" ? compose(name, args, plan) : kubernetes(name, args, token);
}

function compose(name: string, args: readonly string[], { token, container }: AgentPlan): Block[] {
  return [
    { title: "In the file .env beside compose.yaml, for your eyes only", text: `NETWALL_TOKEN=${token}` },
    {
      title: "In compose.yaml, under services",
      text: [
        `  ${yamlWord(`${name}-agent`)}:`,
        "    image: netwall-agent",
        "    command:",
        "      - run",
        ...args.map((arg) => `      - ${composeWord(arg)}`),
        '    environment: ["NETWALL_TOKEN=${NETWALL_TOKEN}"]',
        `    network_mode: ${composeWord(`service:${container}`)}`,
        "    read_only: true",
        "    cap_drop: [ALL]",
        '    security_opt: ["no-new-privileges:true"]',
        "    restart: unless-stopped",
      ].join("\n"),
    },
  ];
}

/** Names of objects have no capitals, dots at the ends and the like; the name of an agent may. */
function kubernetes(name: string, args: readonly string[], token: string): Block[] {
  const secret = `${
    name.toLowerCase().replaceAll(/[^a-z0-9-]+/g, "-").replaceAll(/^-+|-+$/g, "") || "agent"
  }-netwall`;
  return [
    {
      title: "For kubectl apply -f -, in the namespace of the pod",
      text: [
        "apiVersion: v1",
        "kind: Secret",
        `metadata: { name: ${secret} }`,
        `stringData: { token: ${yamlWord(token)} }`,
      ].join("\n"),
    },
    {
      title: "In the pod, under containers: beside the service",
      text: [
        "- name: netwall-agent",
        "  image: netwall-agent",
        "  args:",
        "    - run",
        ...args.map((arg) => `    - ${yamlWord(arg.replaceAll("$(", "$$$$("))}`),
        "  env:",
        "    - name: NETWALL_TOKEN",
        `      valueFrom: { secretKeyRef: { name: ${secret}, key: token } }`,
        "  securityContext:",
        "    allowPrivilegeEscalation: false",
        "    readOnlyRootFilesystem: true",
        "    capabilities: { drop: [ALL] }",
      ].join("\n"),
    },
  ];
}

/** A word for any shell of Unix. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** In a file of Compose a dollar begins the name of a variable. */
function composeWord(text: string): string {
  return yamlWord(text.replaceAll("$", "$$$$"));
}

/** A text in YAML, quoted as in JSON, of which no reading of YAML makes anything else. */
function yamlWord(text: string): string {
  return JSON.stringify(text);
}
