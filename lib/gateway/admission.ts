/**
 * Admission of agents: who dials in, whether the token holds, and which services the link then serves.
 *
 * The token is checked at the handshake, before there is a link. What the agent wants to serve comes in its HELLO and
 * is checked against the same token, so no name can be taken by an agent whose token does not name it. A link ends
 * the moment its token expires or is revoked.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Buffer } from "node:buffer";
import { Attempts } from "../auth/attempts.ts";
import { type SigningKey, type TokenClaims, TokenError, verifyToken } from "../auth/token.ts";
import { LinkAcceptor, type LinkAuthentication } from "../link/acceptor.ts";
import type { Link } from "../link/link.ts";
import type { MemoryBudget } from "../mux/budget.ts";
import { Session } from "../mux/session.ts";
import type { SessionEnd } from "../mux/session_options.ts";
import type { Stream } from "../mux/stream.ts";
import type { ErrorName } from "../wire/errors.ts";
import type { Hello } from "../wire/hello.ts";
import type { OpenPayload } from "../wire/open.ts";
import { sourceKeyOf } from "../policy/rate_limit.ts";
import { parseWallFields } from "../seal/wall_report.ts";
import type { Attachment, Registry, WallClaim } from "../routing/registry.ts";
import { attachmentOf } from "./attachment.ts";

/** Links at once. They share `connectionsMax` with visitors, whom a stolen token must not be able to keep out. */
export const LINKS_MAX = 5_000;
/** Links of one token at once: replicas may share one, but none may keep all others out. */
export const LINKS_PER_TOKEN_MAX = LINKS_MAX / 4;
/** Changes of its wall that are told of one link in a minute: an agent may report as often as it likes. */
export const WALL_EVENTS_PER_MINUTE_MAX = 12;
/** A report that cannot be one is no reason to believe the one before. */
const UNREADABLE_WALL: WallClaim = {
  state: "unknown",
  listeners: 0,
  exposed: [],
  faults: ["The report cannot be read"],
};
/** How often expired tokens are looked for. */
const EXPIRY_CHECK_MS = 1_000;

/** A stream that an agent opened: a call to another agent's service, or to the outside. */
export interface Call {
  /** Has no sink yet. */
  readonly stream: Stream;
  readonly open: OpenPayload;
  /** Who calls, by its token. */
  readonly caller: TokenClaims;
  /** Its link. */
  readonly from: Attachment;
}

/** What is told to the owner, for the log and the metrics. */
export type AdmissionEvent =
  | { kind: "linked"; attachment: Attachment; again: boolean }
  | { kind: "lost"; agent: string; peer: string; end: SessionEnd }
  /** `failures`: the token did not hold, and neither did so many of this peer lately; `slowed`: from now on it waits. */
  | {
    kind: "refused" | "left";
    peer: string;
    code: string;
    message: string;
    failures?: number;
    slowed?: boolean;
  }
  | { kind: "wall"; attachment: Attachment; before: WallClaim | undefined };

export interface AdmissionOptions {
  registry: Registry;
  key: SigningKey;
  isRevoked(id: string): boolean;
  budget: MemoryBudget;
  /** Streams open at once on one link. */
  streamsMax: number;
  sessionWindowBytes: number;
  /** Links at once. @default LINKS_MAX */
  linksMax?: number;
  /** What this gateway says of itself: flat names and values. */
  helloFields: string[];
  onEvent(event: AdmissionEvent): void;
  /** Answers it, or resets its stream. What the token allows is for the owner to look at. */
  onCall(call: Call): void;
  onStreamReset(code: ErrorName, remote: boolean): void;
  /** A handshake was turned away, as too many were under way. */
  onBusy(): void;
  onFault(error: unknown): void;
}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #acceptor: LinkAcceptor<TokenClaims>;
  readonly #attempts = new Attempts();
  readonly #sessions = new Map<Session, TokenClaims>();
  /** Agents that were linked before; bounded, since names come from tokens that this gateway signed. */
  readonly #known = new Set<string>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#acceptor = new LinkAcceptor<TokenClaims>({
      authenticate: (request) => this.#authenticate(request),
      onLink: (link, claims) => this.#admit(link, claims),
      onFailure: options.onFault,
      onBusy: options.onBusy,
    });
    this.#timer = setInterval(() => this.#endExpired(Date.now()), EXPIRY_CHECK_MS);
    this.#timer.unref?.();
  }

  /** Takes an upgrade to the link path over. */
  handleUpgrade(request: IncomingMessage, socket: Socket, early: Buffer): void {
    this.#acceptor.handleUpgrade(request, socket, early);
  }

  /** All sessions, also those whose HELLO has not come. */
  sessions(): Session[] {
    return [...this.#sessions.keys()];
  }

  /** Ends the links of tokens that were revoked. */
  revoke(ids: readonly string[]): void {
    for (const [session, claims] of this.#sessions) {
      if (ids.includes(claims.id)) session.close("identity", "The token was revoked: mint a new one");
    }
  }

  /** Takes no new links and asks the agents to go to another gateway. */
  leave(): void {
    this.#acceptor.stop();
    for (const session of this.#sessions.keys()) session.goAway("The gateway is stopping");
  }

  /** Ends what is left: links close when their streams are over, or after the grace. */
  async drain(graceMs: number): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(
      this.sessions().map((session) => session.drain(graceMs, "The gateway is stopping")),
    );
  }

  async #authenticate(request: IncomingMessage): Promise<LinkAuthentication<TokenClaims>> {
    if (this.#sessions.size >= (this.#options.linksMax ?? LINKS_MAX)) {
      return busy("Too many agents are linked");
    }
    const token = /^Bearer ([\x21-\x7e]+)$/i.exec(request.headers.authorization ?? "")?.[1] ?? "";
    const peer = request.socket.remoteAddress ?? "unix socket";
    const look = this.#attempts.check(sourceKeyOf(peer), performance.now(), token);
    if (!look.ok) {
      const retryAfterSeconds = Math.ceil(look.retryAfterMs / 1000);
      return {
        ok: false,
        status: 429,
        code: "slowed",
        message: "Too many tokens did not hold",
        retryAfterSeconds,
      };
    }
    try {
      const { key, isRevoked } = this.#options;
      const identity = await verifyToken(key, token, { nowMs: Date.now(), isRevoked });
      this.#attempts.held(token);
      if (!this.#hasAll(identity.id)) return { ok: true, identity };
      return busy(`The token of ${identity.name} has ${LINKS_PER_TOKEN_MAX} links already`);
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      const { code, message } = error;
      const { count: failures, isNewlySlowed: slowed } = this.#attempts.failed(
        sourceKeyOf(peer),
        performance.now(),
      );
      this.#options.onEvent({ kind: "refused", peer, code, message, failures, slowed });
      return { ok: false, status: 401, code: error.code, message: error.message };
    }
  }

  /** Whether a token has as many links as it may. */
  #hasAll(tokenId: string): boolean {
    let count = 0;
    for (const { id } of this.#sessions.values()) if (id === tokenId) count++;
    return count >= LINKS_PER_TOKEN_MAX;
  }

  #admit(link: Link, claims: TokenClaims): void {
    // Handshakes under way together have all seen the same number of links.
    if (this.#sessions.size >= (this.#options.linksMax ?? LINKS_MAX) || this.#hasAll(claims.id)) {
      return link.terminate("Too many links stand");
    }
    const { registry, budget, streamsMax, sessionWindowBytes, helloFields, onStreamReset, onFault } =
      this.#options;
    let attachment: Attachment | undefined;
    const told: WallTold = { claim: undefined, count: 0, sinceMs: 0 };
    const session: Session = new Session(link, {
      role: "gateway",
      helloFields,
      // Whose token allows no calls opens nothing here.
      streamsMax: claims.egress || claims.reach.length > 0 ? streamsMax : 0,
      openStreamsMax: streamsMax,
      sessionWindowBytes,
      budget,
      onReady: (hello) => {
        attachment = this.#attach(session, claims, hello);
      },
      onOpen: (stream, open) => {
        // What did not pass its HELLO serves nothing and calls nothing.
        if (attachment === undefined) return stream.reset("refused");
        this.#options.onCall({ stream, open, caller: claims, from: attachment });
      },
      onReport: (fields) => {
        if (attachment !== undefined) this.#report(attachment, fields, told);
      },
      onGoAway: () => {
        // Nothing new goes to it from here on: the session says so by itself.
      },
      onStreamReset,
      onClose: (end) => {
        this.#sessions.delete(session);
        if (end.fault !== undefined) onFault(end.fault);
        if (attachment === undefined) {
          // Whoever only looks, as a doctor does, was refused nothing.
          const kind = end.remote && end.code === "none" ? "left" : "refused";
          return this.#options.onEvent({
            kind,
            peer: link.peer,
            code: end.code,
            message: end.message,
          });
        }
        registry.remove(attachment);
        this.#options.onEvent({ kind: "lost", agent: claims.name, peer: link.peer, end });
      },
    });
    this.#sessions.set(session, claims);
    session.start();
  }

  /** Puts a link to work, if its token allows what its HELLO asks for. */
  #attach(session: Session, claims: TokenClaims, hello: Hello): Attachment | undefined {
    const made = attachmentOf(session, claims, hello, this.#options.registry);
    if ("refusal" in made) {
      session.close(made.code, made.refusal);
      return undefined;
    }
    this.#options.registry.add(made);
    const again = this.#known.has(claims.name);
    this.#known.add(claims.name);
    this.#options.onEvent({ kind: "linked", attachment: made, again });
    return made;
  }

  /** What is told is what changed since it was told last; what is shown is always the newest. */
  #report(attachment: Attachment, fields: string[], told: WallTold): void {
    const claim = parseWallFields(fields) ?? UNREADABLE_WALL;
    attachment.wall = { claim, atMs: Date.now() };
    if (claim.state === told.claim?.state) return;
    const nowMs = performance.now();
    if (nowMs - told.sinceMs >= 60_000) Object.assign(told, { count: 0, sinceMs: nowMs });
    if (told.count >= WALL_EVENTS_PER_MINUTE_MAX) return;
    const before = told.claim;
    told.count++;
    told.claim = claim;
    this.#options.onEvent({ kind: "wall", attachment, before });
  }

  #endExpired(nowMs: number): void {
    for (const [session, claims] of this.#sessions) {
      if (claims.expiresAtMs <= nowMs) session.close("identity", "The token has expired: mint a new one");
    }
  }
}

/** What was told of the wall of one link. */
interface WallTold {
  claim: WallClaim | undefined;
  /** In the minute that began at `sinceMs`, on the clock of `performance.now()`. */
  count: number;
  sinceMs: number;
}

function busy(message: string): LinkAuthentication<TokenClaims> {
  return { ok: false, status: 503, code: "busy", message, retryAfterSeconds: 5 };
}
