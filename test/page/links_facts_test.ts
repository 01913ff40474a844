/**
 * What the view of links says of agents and tokens.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import type { Link, Token } from "../../lib/page/core/types.ts";
import {
  brokenText,
  callsOf,
  claimsOf,
  containerText,
  differencesOf,
  linkKey,
  selectLinks,
  summaryOf,
  wallWords,
} from "../../lib/page/links/link_facts.ts";
import {
  callsText,
  expiryText,
  isExpiringSoon,
  linksOfToken,
  revokeText,
  selectTokens,
  servesText,
} from "../../lib/page/links/token_facts.ts";

const WHOLE: Link["wall"] = { state: "whole", listeners: 1, exposed: [], faults: [] };

function linkOf(patch: Partial<Link> = {}): Link {
  return {
    ...{ agent: "web-1", group: "shop/web", namespace: "shop", image: "web:1", peer: "10.0.0.1:5000" },
    ...{
      services: ["web"],
      reach: [],
      egress: false,
      tcp: [],
      wall: WHOLE,
      since: "2026-01-01T00:00:00.000Z",
    },
    ...{ streams: 0, roundTripMs: 1, leaving: false, claimed: {} },
    ...patch,
  };
}

const DAY_MS = 86_400_000;
const NOW_MS = 1_800_000_000_000;

function tokenOf(patch: Partial<Token> = {}): Token {
  return {
    ...{ id: "id-of-web-1", name: "web-1", serve: ["web"], reach: [], egress: false, namespace: "shop" },
    ...{ image: "web:1", issuedAtMs: NOW_MS - DAY_MS, expiresAtMs: NOW_MS + 30 * DAY_MS, state: "valid" },
    ...patch,
  };
}

describe("links", () => {
  test("summaryOf() counts agents, links, services and walls, and each service once", () => {
    const broken: Link["wall"] = { ...WHOLE, state: "broken", exposed: ["tcp 0.0.0.0:80"] };
    expect(summaryOf([])).toBe("0 agents, 0 services, no wall broken");
    expect(summaryOf([linkOf()])).toBe("1 agent, 1 service, no wall broken");
    expect(summaryOf([
      linkOf(),
      linkOf({ peer: "10.0.0.1:5001", wall: broken }),
      linkOf({ agent: "web-2", leaving: true, wall: { ...WHOLE, state: "unknown" } }),
    ])).toBe("2 agents, 3 links, 1 service, 1 wall broken, 1 wall unknown, 1 leaving");
  });

  test("selectLinks() looks in all that is shown, without case, and sorts by name", () => {
    const links = [
      linkOf({ agent: "zebra", claimed: { hostname: "NODE-7" } }),
      linkOf({ agent: "api-1", services: ["api"], wall: { ...WHOLE, state: "broken" } }),
    ];
    const names = (text: string, wall?: "broken"): string[] =>
      selectLinks(links, { text, wall }).map(({ agent }) => agent);
    expect(names("")).toEqual(["api-1", "zebra"]);
    expect(names(" node-7 ")).toEqual(["zebra"]);
    expect(names("API")).toEqual(["api-1"]);
    expect(names("", "broken")).toEqual(["api-1"]);
    expect(names("zebra", "broken")).toEqual([]);
    expect(names("[")).toEqual([]);
  });

  test("linkKey() tells two links of one agent apart", () => {
    expect(linkKey(linkOf()) === linkKey(linkOf({ peer: "10.0.0.1:5001" }))).toBe(false);
    expect(linkKey(linkOf({ streams: 4, roundTripMs: 9 }))).toBe(linkKey(linkOf()));
  });

  test("claimsOf() shows known names first, unknown ones by their own, and is not led by names of objects", () => {
    const claimed = JSON.parse(
      '{"zone":"eu","runtime":"bun","containerName":"c","constructor":"<b>x</b>","__proto__":"p"}',
    ) as Record<string, string>;
    expect(claimsOf(linkOf({ claimed }))).toEqual([
      { label: "Container", value: "c" },
      { label: "Runtime", value: "bun" },
      { label: "__proto__", value: "p" },
      { label: "constructor", value: "<b>x</b>" },
      { label: "zone", value: "eu" },
    ]);
    expect(claimsOf(linkOf())).toEqual([]);
  });

  test("containerText() is the name, else the short id, else the host", () => {
    const id = "0123456789abcdef".repeat(4);
    expect(containerText(linkOf({ claimed: { containerName: "c", containerId: id, hostname: "h" } }))).toBe(
      "c",
    );
    expect(containerText(linkOf({ claimed: { containerId: id, hostname: "h" } }))).toBe("0123456789ab");
    expect(containerText(linkOf({ claimed: { hostname: "h" } }))).toBe("h");
    expect(containerText(linkOf())).toBe("");
  });

  test("what an agent says can neither turn the direction of writing nor hide in no width", () => {
    const odd = "a\u202eb\u200bc";
    const link = linkOf({
      claimed: { containerName: odd, [odd]: odd, image: odd },
      wall: { ...WHOLE, state: "broken", exposed: [odd], faults: [odd] },
    });
    const { details } = wallWords(link);
    const shown = [
      ...claimsOf(link).flatMap(({ label, value }) => [label, value]),
      containerText(link),
      ...details,
    ];
    const texts = [...shown, ...differencesOf(link)];
    expect(texts).toHaveLength(10);
    for (const text of texts) expect(/[\u202e\u200b]/.test(text)).toBe(false);
  });

  test("differencesOf() points at a claim that is not what is enrolled", () => {
    expect(differencesOf(linkOf({ claimed: { image: "web:2" } }))).toEqual([
      "Its token says image web:1, but it claims web:2",
    ]);
    expect(differencesOf(linkOf({ claimed: { podNamespace: "other" } }))).toHaveLength(1);
    expect(differencesOf(linkOf({ claimed: { image: "web:1", podNamespace: "shop" } }))).toEqual([]);
    // What is not enrolled cannot differ.
    expect(differencesOf(linkOf({ image: "", claimed: { image: "web:2" } }))).toEqual([]);
  });

  test("wallWords() and brokenText() say why", () => {
    const broken: Link["wall"] = { ...WHOLE, state: "broken", exposed: ["tcp 0.0.0.0:80"], faults: ["x"] };
    expect(wallWords(linkOf({ wall: broken })).details).toEqual(["tcp 0.0.0.0:80", "x"]);
    expect(wallWords(linkOf()).text).toContain("1 socket on loopback");
    expect(wallWords(linkOf({ wall: { ...WHOLE, state: "unknown", faults: ["no"] } })).details).toEqual([
      "no",
    ]);
    expect(brokenText([linkOf()])).toBe("");
    const many = ["e", "d", "c", "b", "a"].map((agent) => linkOf({ agent, wall: broken }));
    expect(brokenText(many)).toMatch(/^a, b, c and 2 more: /);
  });
});

describe("tokens", () => {
  test("servesText(), callsText() and callsOf() are words", () => {
    expect(servesText(tokenOf({ serve: ["web", "*"] }))).toBe("web, any service");
    expect(callsText(tokenOf({ reach: ["db", "*"], egress: true }))).toBe("db, any service, the outside");
    expect(callsText(tokenOf())).toBe("");
    expect(callsText(tokenOf({ role: "viewer" }))).toBe("the admin API, as viewer");
    expect(callsOf({ reach: [], egress: true })).toBe("the outside");
  });

  test("expiryText() and isExpiringSoon() know the past, too", () => {
    expect(expiryText(tokenOf(), NOW_MS)).toBe("in 30 days");
    expect(expiryText(tokenOf({ expiresAtMs: NOW_MS - 2 * 3_600_000 }), NOW_MS)).toBe("2 h ago");
    expect(isExpiringSoon(tokenOf(), NOW_MS)).toBe(false);
    expect(isExpiringSoon(tokenOf({ expiresAtMs: NOW_MS + DAY_MS }), NOW_MS)).toBe(true);
    expect(isExpiringSoon(tokenOf({ expiresAtMs: NOW_MS + DAY_MS, state: "revoked" }), NOW_MS)).toBe(false);
  });

  test("selectTokens() filters by text and state", () => {
    const tokens = [tokenOf(), tokenOf({ id: "two", name: "db-1", image: "postgres", state: "expired" })];
    expect(selectTokens(tokens, { text: "POSTGRES", state: undefined })).toHaveLength(1);
    expect(selectTokens(tokens, { text: "", state: "valid" })).toHaveLength(1);
    expect(selectTokens(tokens, { text: "two", state: "valid" })).toHaveLength(0);
  });

  test("linksOfToken() takes only links that say the same as the token", () => {
    const same = linkOf();
    const others = [
      linkOf({ agent: "web-2" }),
      linkOf({ namespace: "test" }),
      linkOf({ image: "web:2" }),
      linkOf({ egress: true }),
      linkOf({ reach: ["db"] }),
      linkOf({ services: ["web", "api"] }),
    ];
    expect(linksOfToken(tokenOf(), [...others, same])).toEqual([same]);
    expect(linksOfToken(tokenOf({ serve: ["*"] }), [linkOf({ services: ["web", "api"] })])).toHaveLength(1);
    expect(linksOfToken(tokenOf({ role: "operator" }), [same])).toEqual([]);
  });

  test("revokeText() says which links end, and when it cannot be sure", () => {
    const token = tokenOf();
    const again = tokenOf({ id: "another" });
    expect(revokeText(token, [], [token], "me")).toContain("No agent is linked by it");
    expect(revokeText(token, [linkOf()], [token], "me")).toContain(
      "ends 1 link of web-1, which serves web, within",
    );
    expect(revokeText(token, [linkOf()], [token, again], "me")).toContain("has other tokens");
    const gone = { ...again, state: "revoked" as const };
    expect(revokeText(token, [linkOf()], [token, gone], "me")).toContain("ends 1 link of web-1");
    const admin = tokenOf({ name: "alice", role: "viewer" });
    expect(revokeText(admin, [], [admin], "alice")).toContain("that is you");
    expect(revokeText(admin, [], [admin], "bob").includes("that is you")).toBe(false);
  });
});
