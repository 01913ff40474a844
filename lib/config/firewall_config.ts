/**
 * The settings of the firewall: its sections of `netwall-gateway serve`, and the commands that ask a running gateway.
 *
 * Durations arrive in milliseconds and sizes in bytes. What is kept for days is counted by the clock of the day, so
 * that its times may be longer than a timer can wait.
 *
 * @module
 */
import { z } from "zod";
import { SinkAddressError } from "../events/sinks/sink.ts";
import { parseSyslogAddress, type SyslogAddress } from "../events/sinks/syslog.ts";
import { parseWebhookUrl } from "../events/sinks/webhook.ts";
import { quoted } from "../printable.ts";
import { flagsOnly } from "../settings.ts";
import { adminAddress } from "./admin_address.ts";
import { groupName } from "./group_name.ts";
import {
  choice,
  count,
  duration,
  filePath,
  leaf,
  namespaceName,
  serviceName,
  size,
  toggle,
  ValueError,
  word,
  type Written,
} from "./units.ts";

const MiB = 2 ** 20;
const DAY_MS = 86_400_000;
/** The longest time that is looked back, and that anything is kept: ten years. */
export const LOOK_BACK_MS_MAX = 3650 * DAY_MS;
/** The longest time of learning: a year. */
export const LEARNING_MS_MAX = 365 * DAY_MS;
/** Events that one call of `events` shows, and versions that `policy versions` does. */
export const ROWS_MAX = 1_000;

/** What `--mode` is: the mode of a fresh policy. */
export const modeSetting = choice("learn", "alert", "prevent").optional().describe(
  "Mode of groups that have none, put into the policy at each start; left out, the policy stays, learn at first",
);

/** What `--firewall` is. */
export const firewallSetting = toggle().default(true).describe(
  "Judge, learn and record all traffic; off forwards everything and knows nothing of it",
);

/** How the model of a group becomes stable: all of it must hold. */
export const learningSection = z.strictObject({
  time: duration({ max: LEARNING_MS_MAX }).prefault("1h").describe("Least time that a group learns"),
  requests: count({ min: 1, max: 1_000_000_000 }).prefault(1_000).describe(
    "Least number of requests and connections that it learns from",
  ),
  quiet: duration({ max: LEARNING_MS_MAX }).prefault("24h").describe("Least time without anything new"),
  unseen: share().prefault("0.001").describe(
    "Largest share of traffic that is probably not known yet, estimated from what came only once",
  ),
  promote: toggle().default(true).describe("Move a group from learn to alert once its model is stable"),
}).prefault({}).describe("When a learned model is stable").meta({ flagPrefix: "learning-" });

/** How long events are kept, and where else they go. */
export const eventsSection = z.strictObject({
  keep: duration({ min: 1_000, max: LOOK_BACK_MS_MAX }).prefault("30d").describe(
    "Time that events and stored flows are kept",
  ),
  size: size({ min: MiB }).prefault("1GiB").describe("Size of the store from which the oldest events go"),
  file: filePath("FILE").optional().describe("File to which events are appended, one JSON object in a line"),
  webhook: webhookUrl().optional().describe("URL to which events are posted as JSON"),
  webhookSecretFile: filePath("FILE").optional().describe(
    "File with the secret that signs what is posted, at least 16 characters",
  ),
  syslog: syslogUrl().optional().describe(
    "Syslog server: tcp://HOST:PORT, tls://HOST:PORT or udp://HOST:PORT",
  ),
}).superRefine(({ webhook, webhookSecretFile }, context) => {
  if (webhook !== undefined || webhookSecretFile === undefined) return;
  const message = "a secret is given but nothing to sign: add --events-webhook URL";
  context.addIssue({ code: "custom", path: ["webhookSecretFile"], message });
}).prefault({}).describe("What becomes of events").meta({ flagPrefix: "events-" });

export type LearningConfig = z.output<typeof learningSection>;
export type EventsSection = z.output<typeof eventsSection>;

/** A share from 0 to 1. */
function share(): z.ZodType<number, Written> {
  return leaf("SHARE", (text) => {
    const value = /^(?:\d{1,3}(?:\.\d{1,12})?|\d(?:\.\d{1,12})?e-\d{1,2})$/.test(text) ? Number(text) : NaN;
    if (value >= 0 && value <= 1) return value;
    throw new ValueError(`${quoted(text)} is no share: write a number from 0 to 1 such as 0.001`);
  });
}

/** Where events are posted. */
function webhookUrl(): z.ZodType<URL, Written> {
  return leaf("URL", parseWebhookUrl, SinkAddressError);
}

function syslogUrl(): z.ZodType<SyslogAddress, Written> {
  return leaf("URL", parseSyslogAddress, SinkAddressError);
}

/** What is compared with a field of an event. */
function name(metavar: string): z.ZodType<string, Written> {
  return word(metavar, /^[^\p{Cc}]{1,1024}$/u, "write a name without control characters");
}

const data = filePath("DIR").prefault("./netwall-data").describe(
  "Directory of the gateway, with the admin token when no other is given",
);

/** How a command finds the gateway that it talks to. `NETWALL_ADMIN_TOKEN` has no flag: others could read it. */
export const connection = {
  admin: adminAddress().prefault("127.0.0.1:9090").describe(
    "Admin API of the gateway: HOST:PORT, unix:PATH or a URL",
  ),
  adminTokenFile: filePath("FILE").optional().describe(
    "File with the admin token; without it NETWALL_ADMIN_TOKEN is taken, or the file admin-token in --data",
  ),
  data,
};

const policyFile = filePath("FILE").describe("Policy in YAML; - is standard input").meta({
  positional: true,
});
const direction = choice("north-south", "east-west", "egress");
const since = duration({ max: LOOK_BACK_MS_MAX });
const json = toggle().default(false).describe("Print JSON, for programs").meta({ environment: false });
const limit = count({ min: 1, max: ROWS_MAX }).prefault(20).describe("How many, the newest first")
  .meta({ environment: false });
const group = groupName().describe("Group, as NAMESPACE/IMAGE without a tag: see groups").meta({
  positional: true,
});
const eventId = word("ID", /^[\x21-\x7e]{1,64}$/, "write the id of an event, see events")
  .describe("Id of an event, as events prints it").meta({ positional: true });

/** The settings of `netwall-gateway policy export`. */
export const policyExportConfig = z.strictObject({
  ...flagsOnly({
    output: filePath("FILE").optional().describe("File to write; standard output when it is left out"),
    model: toggle().default(true).describe("With what was learned; --no-model leaves it out"),
  }),
  ...connection,
});

/** The settings of `netwall-gateway policy diff`. */
export const policyDiffConfig = z.strictObject({ file: policyFile, json, ...connection });

/** The settings of `netwall-gateway policy apply`. */
export const policyApplyConfig = z.strictObject({
  file: policyFile,
  ...flagsOnly({
    comment: word("TEXT", /^[^\p{Cc}]{1,512}$/u, "at most 512 characters, without control characters")
      .optional().describe("Why, for the list of versions"),
    stage: toggle().default(false).describe(
      "Only try it beside the policy in force: events tell its verdict too, nothing is blocked",
    ),
    ifVersion: count({ min: 1, max: 1e15 - 1 }).optional().describe(
      "Only if this version is in force: somebody else may have been faster",
    ),
  }),
  ...connection,
}).superRefine(({ stage, comment, ifVersion }, context) => {
  if (!stage) return;
  const unused = comment !== undefined ? "comment" : ifVersion !== undefined ? "ifVersion" : undefined;
  if (unused === undefined) return;
  const message = "a staged policy makes no version: leave it out, or leave --stage out";
  context.addIssue({ code: "custom", path: [unused], message });
});

/** The settings of `netwall-gateway policy unstage`. */
export const policyUnstageConfig = z.strictObject({ ...connection });

/** The settings of `netwall-gateway policy simulate`. */
export const policySimulateConfig = z.strictObject({
  file: policyFile,
  ...flagsOnly({ since: since.prefault("24h").describe("How far back stored flows are tried") }),
  json,
  ...connection,
});

/** The settings of `netwall-gateway policy versions`. */
export const policyVersionsConfig = z.strictObject({ limit, json, ...connection });

/** The settings of `netwall-gateway policy audit`. */
export const policyAuditConfig = z.strictObject({ limit, json, ...connection });

/** The settings of `netwall-gateway policy rollback`. */
export const policyRollbackConfig = z.strictObject({
  version: count({ min: 1, max: 1e15 - 1 }).describe("Version to apply again, see policy versions")
    .meta({ positional: true, metavar: "VERSION" }),
  ...connection,
});

/** The settings of `netwall-gateway policy mode`. */
export const policyModeConfig = z.strictObject({
  group,
  mode: choice("learn", "alert", "prevent", "default").describe(
    "Mode: learn, alert or prevent; default takes the group's own mode away",
  ).meta({ positional: true, metavar: "MODE" }),
  ...flagsOnly({
    direction: direction.optional().describe("Only in this direction; all three when it is left out"),
  }),
  ...connection,
});

/** The settings of `netwall-gateway groups`. */
export const groupsConfig = z.strictObject({
  ...flagsOnly({
    all: toggle().default(false).describe(
      "With directions in which a group has no model and no mode of its own",
    ),
  }),
  json,
  ...connection,
});

/** The settings of `netwall-gateway groups relearn`. */
export const groupsRelearnConfig = z.strictObject({ group, ...connection });

/** The settings of `netwall-gateway events`. */
export const eventsConfig = z.strictObject({
  ...flagsOnly({
    follow: toggle().default(false).describe(
      "Print the last ones, then each as it comes, until it is stopped",
    ),
    since: since.optional().describe("Only events of this time back"),
    type: name("TYPE").optional().describe("Only of this type, such as unexpectedConnection"),
    namespace: namespaceName().optional().describe("Only of this namespace"),
    image: name("IMAGE").optional().describe("Only of this image, with or without its tag"),
    service: serviceName().optional().describe("Only of this service"),
    source: name("NAME").optional().describe(
      "Only from this source: NAMESPACE/IMAGE, or the name of a network",
    ),
    effect: choice("allow", "alert", "prevent").optional().describe("Only with this effect"),
    verdict: choice("forwarded", "audited", "dropped").optional().describe("Only with this verdict"),
    severity: choice("info", "warning", "critical").optional().describe("Only of this severity"),
    host: name("NAME").optional().describe(
      "Only where an end claims to be this: hostname, or name or id of its container",
    ),
    text: word("TEXT", /^[^\p{Cc}]{1,256}$/u, "write up to 256 characters").optional()
      .describe("Only with this in the message, the path or a name"),
    limit: count({ min: 1, max: ROWS_MAX }).prefault(50).describe("How many, the newest ones"),
    long: toggle().default(false).describe("Print all of a line: what agents claim, what is known, the rule"),
    json: toggle().default(false).describe("Print one JSON object in a line"),
  }),
  ...connection,
});

/** The settings of `netwall-gateway events show`. */
export const eventsShowConfig = z.strictObject({ id: eventId, json, ...connection });

/** The settings of `netwall-gateway events allow`. */
export const eventsAllowConfig = z.strictObject({ id: eventId, ...connection });

/** The settings of `netwall-gateway bans`. */
export const bansConfig = z.strictObject({ json, ...connection });

/** The settings of `netwall-gateway bans lift`. */
export const bansLiftConfig = z.strictObject({
  key: word("KEY", /^[^\p{Cc}]{1,1024}$/u, "write the key of a ban, see bans").describe(
    "Key of a ban, as bans prints it",
  ).meta({ positional: true }),
  ...connection,
});

/** The settings of `netwall-gateway token admin`. */
export const adminTokenConfig = z.strictObject({
  ...flagsOnly({
    name: word(
      "NAME",
      /^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$/,
      "use letters, digits, dots, hyphens, underscores and @, at most 128, such as alice",
    ).describe("Who it is for, shown beside every change"),
    role: choice("viewer", "operator").describe("viewer may see, operator may change"),
    ttl: duration({ min: 1_000, max: LOOK_BACK_MS_MAX }).prefault("30d").describe(
      "Life of the token, at most 3650d",
    ),
  }),
  data: data.describe("Directory of the gateway, with its key and the list of tokens"),
});
