/**
 * `netwall-agent doctor`: what works from here, one line each with the cure.
 *
 * It takes the settings of a run and tries each part of it for itself, without publishing anything: every step to each
 * gateway up to a true link, the token against the flags, every target, the local doors, the sandbox, the wall. Every
 * check has a deadline, so it never hangs; what is a secret is never shown.
 *
 * Read `runDoctor` first; check.ts says what a check is.
 *
 * @module
 */
import type { GatewayAddress } from "../link/dial.ts";
import type { Environment } from "../link/proxy.ts";
import { isExecutable } from "../runtime/hardening.ts";
import type { SealOutcome } from "../seal/seal_options.ts";
import { CHECK_MS_MAX, type CheckResult, fail, inOrder, ok, resultOf, runCheck } from "./check.ts";
import { checkGateway } from "./doctor_gateway.ts";
import {
  checkDoor,
  checkEnvironment,
  type DoorText,
  judgeSeal,
  judgeWall,
  type WallFact,
} from "./doctor_place.ts";
import { checkApp, checkTarget, type ServiceText } from "./doctor_target.ts";
import { judgeClientCertificate, type TlsFiles } from "./doctor_tls.ts";
import { checkToken, checkTokenFile } from "./doctor_token.ts";
import { NOT_LOOKED_AT } from "./wall_watch.ts";

/** Something read from the settings, or one sentence that says why it could not be. */
export type Loaded<T> = { readonly value: T } | { readonly error: string };

/** What a run of the agent would do. Addresses of targets and doors are as they are written on the command line. */
export interface DoctorPlan {
  readonly gateways: readonly GatewayAddress[];
  readonly services: readonly ServiceText[];
  /** Service and file of the app in this process. */
  readonly app?: { readonly service: string; readonly file: string };
  /** Local doors to services of other agents. */
  readonly reach: readonly { readonly service: string; readonly listen: string }[];
  /** The local proxy to the outside. */
  readonly egress?: string;
  /** A secret, which is never shown. */
  readonly token: Loaded<string>;
  /** The file of the token, if it has one. */
  readonly tokenFile?: string;
  /** For gateways. */
  readonly tls: Loaded<TlsFiles>;
  /** Authorities for targets, PEM; an empty text is none. */
  readonly targetCa: Loaded<string>;
  readonly targetInsecure: boolean;
  readonly seal: "off" | "on" | "require";
  readonly requireWall: boolean;
  /** Whether the run looks at the wall. */
  readonly auditWall: boolean;
}

export interface DoctorOptions {
  /** The plan, or every fault of the settings. */
  readonly plan: DoctorPlan | { readonly faults: readonly string[] };
  readonly env: Environment;
  /** Whether `--seal` holds here; asked only when there is a plan. A throw is a failed check. */
  sealStatus(): SealOutcome | Promise<SealOutcome>;
  /** What listens here. A throw is a failed check. */
  audit(): WallFact | Promise<WallFact>;
  /** For each check. @default CHECK_MS_MAX */
  readonly timeoutMs?: number;
  /** The time of this machine, since 1970. @default now */
  readonly nowMs?: number;
}

/** Everything that was checked, in the order in which it is to be mended. */
export interface DoctorReport {
  readonly checks: readonly CheckResult[];
  /** True when no check failed; warnings are allowed. */
  readonly ok: boolean;
}

/** Checks that run at once. */
const CHECKS_AT_ONCE = 8;

/** Tries every part of a run. Never throws for what it finds, and takes a bounded time for each check. */
export async function runDoctor(options: DoctorOptions): Promise<DoctorReport> {
  const { plan, env, timeoutMs = CHECK_MS_MAX, nowMs = Date.now() } = options;
  const place = checkEnvironment(env, isExecutable());
  const wall = await runCheck("wall", timeoutMs, async () => {
    const fact = await options.audit();
    const looks = "faults" in plan || plan.auditWall;
    const finding = looks ? judgeWall(fact, "faults" in plan ? false : plan.requireWall) : ok(NOT_LOOKED_AT);
    return { finding, value: fact };
  });
  if ("faults" in plan) {
    const cure = "Correct it; netwall-agent --help lists all settings";
    const faults = plan.faults.map((fault) => resultOf("configuration", fail(fault, cure)));
    return reportOf([...faults, ...place, wall.result], "");
  }
  const token = "value" in plan.token ? plan.token.value : undefined;
  const seal = await runCheck("sandbox", timeoutMs, async () => {
    return { finding: judgeSeal(await options.sealStatus(), plan.seal) };
  });
  const results = await inOrder(
    tasksOf(plan, { env, timeoutMs, nowMs, token, wall: wall.value }),
    CHECKS_AT_ONCE,
  );
  const checks = [
    resultOf("configuration", ok("read and understood")),
    ...place,
    ...results.flat(),
    seal.result,
    wall.result,
  ];
  return reportOf(checks, token ?? "");
}

interface Surroundings {
  readonly env: Environment;
  readonly timeoutMs: number;
  readonly nowMs: number;
  readonly token: string | undefined;
  readonly wall: WallFact | undefined;
}

type Task = () => Promise<CheckResult[]>;

function tasksOf(plan: DoctorPlan, { env, timeoutMs, nowMs, token, wall }: Surroundings): Task[] {
  const tasks: Task[] = [() => Promise.resolve(tokenChecks(plan, nowMs))];
  const tls = plan.tls;
  if ("error" in tls) tasks.push(() => Promise.resolve([unreadable("certificates for gateways", tls.error)]));
  else if (tls.value.cert !== undefined && tls.value.key !== undefined) {
    const finding = judgeClientCertificate(tls.value.cert, tls.value.key, nowMs);
    tasks.push(() => Promise.resolve([resultOf("client certificate", finding)]));
  }
  for (const gateway of plan.gateways) {
    const files = "value" in tls ? tls.value : {};
    tasks.push(() => checkGateway({ gateway, token, tls: files, env, timeoutMs, nowMs }));
  }
  const { targetCa } = plan;
  if ("error" in targetCa) {
    tasks.push(() => Promise.resolve([unreadable("certificates for targets", targetCa.error)]));
  }
  const ca = "value" in targetCa && targetCa.value !== "" ? targetCa.value : undefined;
  for (const service of plan.services) {
    const how = { ca, insecure: plan.targetInsecure, timeoutMs, nowMs };
    tasks.push(async () => [await checkTarget(service, how)]);
  }
  const { app, egress } = plan;
  if (app !== undefined) tasks.push(() => Promise.resolve([checkApp(app.service, app.file)]));
  const doors: DoorText[] = plan.reach.map(({ service, listen }) => ({ name: `reach ${service}`, listen }));
  if (egress !== undefined) doors.push({ name: "egress", listen: egress });
  for (const door of doors) tasks.push(async () => [await checkDoor(door, wall, timeoutMs)]);
  return tasks;
}

function tokenChecks(plan: DoctorPlan, nowMs: number): CheckResult[] {
  const file = plan.tokenFile === undefined ? [] : [checkTokenFile(plan.tokenFile)];
  if ("error" in plan.token) return file.length > 0 ? file : [unreadable("token", plan.token.error)];
  const serve = plan.services.map(({ service }) => service);
  if (plan.app !== undefined) serve.push(plan.app.service);
  const reach = plan.reach.map(({ service }) => service);
  return [
    ...file,
    ...checkToken(plan.token.value, { serve, reach, egress: plan.egress !== undefined }, nowMs),
  ];
}

function unreadable(name: string, error: string): CheckResult {
  return resultOf(name, fail(error, "Check the path, its owner and mode"));
}

/** Runs of characters this long are compared with the token: a part of it is a secret too. */
const SECRET_RUN = /[\w.-]{12,}/g;

/** A gateway chooses the words of its refusals, so it could send a secret back: no line shows a part of the token. */
function reportOf(checks: readonly CheckResult[], token: string): DoctorReport {
  const hide = (text: string): string =>
    text.replace(SECRET_RUN, (run) => token.includes(run) ? "(token)" : run);
  return {
    checks: checks.map((check) => ({
      ...check,
      detail: hide(check.detail),
      ...(check.cure === undefined ? {} : { cure: hide(check.cure) }),
    })),
    ok: checks.every(({ status }) => status !== "fail"),
  };
}

const MARKS = { ok: "ok  ", warn: "warn", fail: "FAIL" } as const;

/** For people: a line for each check, and the sum. Ends with a line end. */
export function doctorText({ checks }: DoctorReport): string {
  const lines = checks.map(({ name, status, detail, cure }) => {
    const todo = cure === undefined ? "" : `. Do this: ${cure}`;
    return `${MARKS[status]} ${name}: ${detail}${todo}`;
  });
  const count = (status: CheckResult["status"]): number => checks.filter((it) => it.status === status).length;
  const [good, doubtful, bad] = [count("ok"), count("warn"), count("fail")];
  const sum = bad > 0
    ? `${bad} of ${checks.length} checks failed`
    : `${good} of ${checks.length} checks are fine`;
  lines.push(`${sum}${doubtful > 0 ? `, ${doubtful} ${doubtful === 1 ? "warning" : "warnings"}` : ""}`);
  return `${lines.join("\n")}\n`;
}

/** For programs: one JSON object on one line, `{"checks":[{"name","status","detail","cure"?,"ms"}]}`. */
export function doctorJson({ checks }: DoctorReport): string {
  return `${JSON.stringify({ checks })}\n`;
}
