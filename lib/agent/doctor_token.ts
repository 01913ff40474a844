/**
 * What the agent's own token says, and whether it fits what the agent is to do.
 *
 * The agent has no key to verify a token with, so nothing here is proof: the gateway's answer to the link is. But a
 * claim that is missing is known here before the gateway says so, and the cure is one command there.
 *
 * Source: RFC 7519 §4.1.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { statSync } from "node:fs";
import { type CheckResult, days, fail, type Finding, ok, resultOf, warn } from "./check.ts";
import { codeOf, fileCure } from "./denied.ts";
import { EXPIRY_DAYS_WARN } from "./doctor_tls.ts";

/** What the flags ask for. */
export interface TokenWants {
  readonly serve: readonly string[];
  readonly reach: readonly string[];
  readonly egress: boolean;
}

/** A token longer than this is none: the gateway refuses it unread. */
const TOKEN_BYTES_MAX = 4096;

/** A token that is younger than now by more than this tells of a clock that is wrong. */
const CLOCK_SKEW_MS = 60_000;

const DAY_MS = 86_400_000;

/** Names that are shown of a list. */
const NAMES_SHOWN = 8;

const GIVE_TOKEN = "Give the token as netwall-gateway token printed it";

/** Claims, as far as they could be read. Not verified. */
interface Claims {
  readonly name: string;
  readonly serve: readonly string[];
  readonly reach: readonly string[];
  readonly egress: boolean;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/** Checks a token that could be read: its shape, its claims against the flags, its times. */
export function checkToken(token: string, wants: TokenWants, nowMs: number): CheckResult[] {
  const claims = readClaims(token);
  if (claims === undefined) {
    const cut = token.length === 0 ? "it is empty" : "it is no token of a netwall gateway";
    return [resultOf("token", fail(cut, GIVE_TOKEN))];
  }
  return [
    resultOf("token", judgeTimes(claims, wants, nowMs)),
    resultOf("token allows", judgeClaims(claims, wants)),
    resultOf("clock", judgeClock(claims, nowMs)),
  ];
}

/**
 * What the doors of an agent need and its token does not allow, as the gateway would refuse every call at them.
 *
 * @returns What is lacking and the command that mints a token which has it; `undefined` when nothing is, or when the
 *   token cannot be read.
 */
export function lackingForDoors(
  token: string,
  wants: TokenWants,
): { lacks: string; cure: string } | undefined {
  const claims = readClaims(token);
  const missing = claims === undefined ? [] : missingForDoors(claims, wants);
  if (claims === undefined || missing.length === 0) return undefined;
  return { lacks: listed(missing), cure: mintCommand(claims, wants) };
}

function missingForDoors(claims: Claims, wants: TokenWants): string[] {
  return [
    ...lacking(claims.reach, wants.reach).map((service) => `--reach ${service}`),
    ...(wants.egress && !claims.egress ? ["--egress"] : []),
  ];
}

/** Whether others can read the file of the token. */
export function checkTokenFile(path: string): CheckResult {
  const name = `token file ${path}`;
  try {
    const stat = statSync(path);
    if (!stat.isFile()) return resultOf(name, fail("it is no file", "Give the path of a file"));
    const mode = (stat.mode & 0o777).toString(8).padStart(3, "0");
    if ((stat.mode & 0o004) !== 0) {
      return resultOf(name, warn(`every user can read it (mode ${mode})`, `Run chmod 600 ${path}`));
    }
    return resultOf(name, ok(`mode ${mode}`));
  } catch (error) {
    return resultOf(name, fail(`it cannot be read (${codeOf(error)})`, fileCure(error, path)));
  }
}

function judgeTimes(claims: Claims, wants: TokenWants, nowMs: number): Finding {
  const leftMs = claims.expiresAtMs - nowMs;
  const ends = new Date(claims.expiresAtMs).toISOString();
  const cure = mintCommand(claims, wants);
  if (leftMs <= 0) return fail(`the token of ${claims.name} expired on ${ends}`, cure);
  const left = leftMs < DAY_MS ? "less than a day" : days(Math.floor(leftMs / DAY_MS));
  const detail = `${claims.name}, ${left} left`;
  return leftMs < EXPIRY_DAYS_WARN * DAY_MS ? warn(`${detail}, until ${ends}`, cure) : ok(detail);
}

function judgeClaims(claims: Claims, wants: TokenWants): Finding {
  const missing = [
    ...lacking(claims.serve, wants.serve).map((service) => `--serve ${service}`),
    ...missingForDoors(claims, wants),
  ];
  if (missing.length > 0) return fail(`it lacks ${listed(missing)}`, mintCommand(claims, wants));
  const allows = [`serve ${listed(claims.serve) || "nothing"}`];
  if (claims.reach.length > 0) allows.push(`reach ${listed(claims.reach)}`);
  if (claims.egress) allows.push("egress");
  return ok(allows.join(", "));
}

function judgeClock(claims: Claims, nowMs: number): Finding {
  const aheadMs = claims.issuedAtMs - nowMs;
  if (aheadMs <= CLOCK_SKEW_MS) return ok(new Date(nowMs).toISOString());
  return warn(
    `the token was made ${Math.round(aheadMs / 1000)} s after what the clock of this machine says`,
    "Set the clock, or the certificates of gateways may not be taken",
  );
}

/** The command that makes a token which fits; claims that are not used stay out. */
function mintCommand(claims: Claims, wants: TokenWants): string {
  const flags = [
    ...[...new Set(wants.serve)].slice(0, NAMES_SHOWN).map((service) => ` --serve ${service}`),
    ...[...new Set(wants.reach)].slice(0, NAMES_SHOWN).map((service) => ` --reach ${service}`),
    ...(wants.egress ? [" --egress"] : []),
  ];
  return `Mint a new one on the gateway: netwall-gateway token --name ${claims.name}${flags.join("")}`;
}

function lacking(allowed: readonly string[], wanted: readonly string[]): string[] {
  // One service can have several doors.
  return allowed.includes("*") ? [] : [...new Set(wanted)].filter((service) => !allowed.includes(service));
}

function listed(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN;
  const shown = names.slice(0, NAMES_SHOWN).map((name) => name === "*" ? "any" : name).join(", ");
  return more > 0 ? `${shown} and ${more} more` : shown;
}

/** Reads the middle of a JWT. What it says is shown and compared, and never believed. */
function readClaims(token: string): Claims | undefined {
  const payload = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(token)?.[1];
  if (payload === undefined || token.length > TOKEN_BYTES_MAX) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { sub, serve, reach, egress, iat, exp } = value as Record<string, unknown>;
  // What the cure repeats is meant to be pasted into a shell: a name of another shape is no name of ours.
  if (typeof sub !== "string" || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(sub)) return undefined;
  if (!isTime(iat) || !isTime(exp) || !isNames(serve) || !isNames(reach)) return undefined;
  return {
    name: sub,
    serve,
    reach,
    egress: egress === true,
    issuedAtMs: iat * 1000,
    expiresAtMs: exp * 1000,
  };
}

/** Whole seconds up to the year 9999, so that a date can be made of it. */
function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 253_402_300_799;
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string");
}
