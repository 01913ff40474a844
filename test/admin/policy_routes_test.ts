/**
 * Tests of the policy over the API: versions, conditions, faults by line, and bodies that should not come in.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { JSON_BYTES_MAX } from "../../lib/admin/body.ts";
import { POLICY_BYTES_MAX } from "../../lib/policy/document.ts";
import { parsePolicy } from "../../lib/policy/policy_yaml.ts";
import { type ApiRig, apiRig, json, yaml } from "./api_rig.ts";
import { edgeOf, GROUP } from "./fake_firewall.ts";

const POLICY = "apiVersion: netwall/v1\nkind: Policy\nspec:\n  defaultMode: prevent\n";

const rigs: ApiRig[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.close();
});

async function newRig(): Promise<ApiRig> {
  const rig = await apiRig();
  rigs.push(rig);
  return rig;
}

describe("the policy", () => {
  test("goes out as YAML with the model, and comes back in as it was", async () => {
    const rig = await newRig();
    const answer = await rig.ask("/api/v1/policy.yaml", { token: rig.viewer });
    expect(answer.headers.get("etag")).toBe('"1"');
    const text = await answer.text();
    expect(parsePolicy(text)).toEqual(rig.firewall.exported());
    const bare = await (await rig.ask("/api/v1/policy.yaml?model=false")).text();
    expect(parsePolicy(bare).model).toBeUndefined();
    const applied = await rig.ask("/api/v1/policy?comment=by%20hand", yaml("PUT", text));
    expect([applied.status, applied.headers.get("etag"), await applied.json()])
      .toEqual([200, '"2"', { version: 2, cut: 1, warnings: [] }]);
    const { items } = await (await rig.ask("/api/v1/policy/versions")).json();
    expect(items[0]).toMatchObject({ version: 2, by: "otto", comment: "by hand" });
    expect(items[0].document).toBeUndefined();
  });

  test("comes in as JSON too, as it goes out", async () => {
    const rig = await newRig();
    const { document } = await (await rig.ask("/api/v1/policy")).json();
    const changed = { ...document, spec: { ...document.spec, defaultMode: "alert" } };
    expect((await rig.ask("/api/v1/policy", json("PUT", changed))).status).toBe(200);
    expect(rig.firewall.policy().document.spec.defaultMode).toBe("alert");
  });

  test("two operators do not undo each other's changes", async () => {
    const rig = await newRig();
    const put = async (ifMatch: string): Promise<number> =>
      (await rig.ask("/api/v1/policy", yaml("PUT", POLICY, { "if-match": ifMatch }))).status;
    expect(await put('"1"')).toBe(200);
    expect(await put('"1"')).toBe(412);
    expect(await put('"3", "2"')).toBe(200);
    expect(await put("*")).toBe(200);
    expect(await put('W/"4"')).toBe(412);
    for (const bad of ["4", '"4', "''", '"4" "5"', ",", '"a""b"']) {
      expect([bad, await put(bad)]).toEqual([bad, 400]);
    }
    expect(rig.firewall.policy().version).toBe(4);
    const late = await rig.ask("/api/v1/policy", yaml("PUT", POLICY, { "if-match": '"1"' }));
    expect(late.headers.get("etag")).toBe('"4"');
    expect((await late.json()).detail).toContain("Version 4");
  });

  test("a fault is told by its line and path, and nothing is changed", async () => {
    const rig = await newRig();
    const bad = `${POLICY}  rules:\n    - id: a\n      effect: forbid\n    - id: a\n      effect: allow\n`;
    for (
      const [method, path] of [["PUT", "policy"], ["POST", "policy/diff"], ["PUT", "policy/staged"]] as const
    ) {
      const answer = await rig.ask(`/api/v1/${path}`, yaml(method, bad));
      expect([path, answer.status]).toEqual([path, 422]);
      const { errors, title } = await answer.json();
      expect(title).toBe("Unprocessable Entity");
      expect(errors[0]).toMatchObject({ line: 7, path: "spec.rules.0.effect" });
    }
    for (const text of ["", "[]", "a: [", "\0", "- &a [*a]", `${POLICY}extra: 1\n`]) {
      expect([text, (await rig.ask("/api/v1/policy", yaml("PUT", text))).status]).toEqual([text, 422]);
    }
    expect(rig.firewall.policy().version).toBe(1);
    const many = `${POLICY}  rules:\n${"    - id: x\n".repeat(300)}`;
    const { errors } = await (await rig.ask("/api/v1/policy", yaml("PUT", many))).json();
    expect(errors.length).toBeLessThanOrEqual(20);
  });

  test("a difference is told in words and in parts, against the model only when one comes", async () => {
    const rig = await newRig();
    const diff = async (text: string): Promise<{ lines: string[]; changes: { part: string }[] }> =>
      await (await rig.ask("/api/v1/policy/diff", yaml("POST", text))).json();
    const changed = await diff(POLICY);
    expect(changed.lines.join("\n")).toContain("prevent");
    expect(changed.changes.map(({ part }) => part)).toContain("defaultMode");
    const same = await diff(await (await rig.ask("/api/v1/policy.yaml")).text());
    expect([same.lines, same.changes]).toEqual([[], []]);
    const bare = await diff(await (await rig.ask("/api/v1/policy.yaml?model=false")).text());
    expect(bare.changes).toEqual([]);
    expect(rig.firewall.policy().version).toBe(1);
  });

  test("a try looks back as far as it is told, seven days else", async () => {
    const rig = await newRig();
    const sinceOf = async (query: string): Promise<number> =>
      (await (await rig.ask(`/api/v1/policy/simulate${query}`, yaml("POST", POLICY))).json()).sinceMs;
    expect(await sinceOf("")).toBe(rig.nowMs - 7 * 86_400_000);
    expect(await sinceOf("?since=1234")).toBe(1234);
  });

  test("is staged, shown and taken away", async () => {
    const rig = await newRig();
    expect((await rig.ask("/api/v1/policy/staged")).status).toBe(404);
    expect((await rig.ask("/api/v1/policy/staged", yaml("PUT", POLICY))).status).toBe(204);
    const staged = await (await rig.ask("/api/v1/policy/staged", { token: rig.viewer })).json();
    expect(staged.document.spec.defaultMode).toBe("prevent");
    expect((await (await rig.ask("/api/v1/status")).json()).firewall).toMatchObject({ isStaged: true });
    expect((await rig.ask("/api/v1/policy/staged", { method: "DELETE" })).status).toBe(204);
    expect(rig.firewall.staged()).toBeUndefined();
  });

  test("what is not there cannot be read or gone back to", async () => {
    const rig = await newRig();
    const requests: [string, RequestInit][] = [
      ["policy/versions/7", {}],
      ["policy/versions/7/rollback", { method: "POST" }],
      ["groups/mode", json("PUT", { group: "shop/none", mode: "alert" })],
      ["groups/relearn", json("POST", { group: "shop/none" })],
      ["bans/none", { method: "DELETE" }],
      ["events/none/allow", { method: "POST" }],
    ];
    for (const [path, init] of requests) {
      const answer = await rig.ask(`/api/v1/${path}`, init);
      expect([path, answer.status]).toEqual([path, 404]);
      expect((await answer.json()).detail.length).toBeGreaterThan(5);
    }
    expect(requests).toHaveLength(6);
  });

  test("going back may be bound to the version that was seen", async () => {
    const rig = await newRig();
    const back = async (ifMatch: string): Promise<number> => {
      const init = { method: "POST", headers: { "If-Match": ifMatch } };
      return (await rig.ask("/api/v1/policy/versions/1/rollback", init)).status;
    };
    expect([await back('"1"'), await back('"1"'), await back("seven"), await back('"2"')])
      .toEqual([200, 412, 400, 200]);
    expect(rig.firewall.policy().version).toBe(3);
  });

  test("versions and the audit log have pages", async () => {
    const rig = await newRig();
    for (let i = 0; i < 5; i++) await rig.ask("/api/v1/policy/versions/1/rollback", { method: "POST" });
    for (const [path, total] of [["policy/versions", 6], ["audit", 5]] as const) {
      const first = await (await rig.ask(`/api/v1/${path}?limit=4`)).json();
      const last = await (await rig.ask(`/api/v1/${path}?limit=4&before=${first.next}`)).json();
      expect([first.items.length, last.items.length, last.next]).toEqual([4, total - 4, undefined]);
    }
    for (const query of ["before=x", "before=0", "limit=0"]) {
      expect((await rig.ask(`/api/v1/audit?${query}`)).status).toBe(400);
    }
  });
});

describe("a body", () => {
  test("of another type, charset or coding is 415", async () => {
    const rig = await newRig();
    const types: Record<string, string>[] = [
      { "content-type": "application/x-www-form-urlencoded" },
      { "content-type": "text/plain" },
      { "content-type": "multipart/form-data; boundary=x" },
      { "content-type": "application/yaml; charset=latin1" },
      { "content-type": "application/yaml", "content-encoding": "gzip" },
      {},
    ];
    for (const headers of types) {
      const body = new TextEncoder().encode(POLICY);
      const answer = await rig.ask("/api/v1/policy", { method: "PUT", headers, body });
      expect([headers, answer.status]).toEqual([headers, 415]);
    }
    expect(types).toHaveLength(6);
    const fine = { "content-type": 'Application/YAML; charset="UTF-8"' };
    expect((await rig.ask("/api/v1/policy", { method: "PUT", headers: fine, body: POLICY })).status).toBe(
      200,
    );
    const plain = { method: "PUT", headers: { "content-type": "text/plain" }, body: "{}" };
    expect((await rig.ask("/api/v1/groups/mode", plain)).status).toBe(415);
  });

  test("that is no JSON, or not this JSON, is refused with its places", async () => {
    const rig = await newRig();
    const send = async (body: string | Uint8Array<ArrayBuffer>): Promise<Response> =>
      await rig.ask("/api/v1/groups/mode", {
        method: "PUT",
        headers: { "content-type": "application/json" },
        body,
      });
    const broken = ["", "{", "nul", "{'a':1}", "[".repeat(30_000), new Uint8Array([0x22, 0xff, 0x22])];
    for (const body of broken) expect((await send(body)).status).toBe(400);
    const wrong: [unknown, string][] = [
      [{ group: GROUP, mode: "off" }, "mode"],
      [{ group: GROUP }, "mode"],
      [{ group: "noslash", mode: "learn" }, "group"],
      [{ group: "/x", mode: "learn" }, "group"],
      [{ group: "x".repeat(600), mode: "learn" }, "group"],
      [{ group: GROUP, mode: "learn", direction: "up" }, "direction"],
      [{ group: GROUP, mode: "learn", extra: 1 }, "extra"],
      [[], ""],
      [null, ""],
      ["text", ""],
    ];
    for (const [body, path] of wrong) {
      const answer = await send(JSON.stringify(body));
      expect([body, answer.status]).toEqual([body, 422]);
      const { errors } = await answer.json();
      expect(errors[0].path).toBe(path);
      expect(JSON.stringify(errors)).not.toMatch(/Unrecognized|Invalid|: expected|pattern/);
    }
    expect([broken.length, wrong.length]).toEqual([6, 10]);
    expect(rig.firewall.policy().version).toBe(1);
  });

  test("over its bound is 413, also when it does not say how long it is", async () => {
    const rig = await newRig();
    const chunk = new Uint8Array(64 << 10).fill(0x20);
    let given = 0;
    const endless = (): ReadableStream<Uint8Array> =>
      new ReadableStream({
        pull(controller: ReadableStreamDefaultController<Uint8Array>): void {
          given += chunk.length;
          controller.enqueue(chunk);
        },
      });
    const send = async (
      path: string,
      type: string,
      headers: Record<string, string> = {},
    ): Promise<number> => {
      const init = {
        method: "PUT",
        headers: { "content-type": type, ...headers },
        body: endless(),
        duplex: "half",
      };
      return (await rig.ask(path, init as RequestInit)).status;
    };
    expect(await send("/api/v1/groups/mode", "application/json")).toBe(413);
    expect(given).toBeLessThan(JSON_BYTES_MAX + 4 * chunk.length);
    given = 0;
    expect(await send("/api/v1/policy", "application/yaml")).toBe(413);
    expect(given).toBeLessThan(POLICY_BYTES_MAX + 4 * chunk.length);
    given = 0;
    expect(await send("/api/v1/policy", "application/yaml", { "content-length": "99999999999" })).toBe(413);
    expect(given).toBeLessThanOrEqual(2 * chunk.length);
  });
});

describe("figures", () => {
  test("hits, a group's model and an edge over time are there for whoever looks", async () => {
    const rig = await newRig();
    rig.firewall.store.putEdges([edgeOf("a", 1)]);
    const read = async (path: string): Promise<unknown> =>
      await (await rig.ask(`/api/v1/${path}`, { token: rig.viewer })).json();
    expect(await read("policy/hits")).toMatchObject({ items: [{ rule: "no-evil", count: 2, lastMs: 5 }] });
    expect(await read(`groups/model?group=${encodeURIComponent(GROUP)}`))
      .toMatchObject({ edges: [{ destination: GROUP, operations: ["GET /users/{int}"] }] });
    expect(await read("edges/a/traffic")).toMatchObject({ stepMs: 60_000, counts: [3, 4] });
    expect(await read("edges/a/traffic?window=7d")).toMatchObject({ stepMs: 3_600_000, bytes: [500, 7] });
  });

  test("what nobody knows is 404, what cannot be is refused by name", async () => {
    const rig = await newRig();
    rig.firewall.store.putEdges([edgeOf("a", 1)]);
    const cases: [string, number][] = [
      ["groups/model?group=shop/none", 404],
      ["groups/model?group=shop/%3Cscript%3E", 404],
      ["groups/model?group=__proto__/x", 404],
      ["groups/model", 400],
      ["groups/model?group=", 400],
      ["groups/model?group=shop", 400],
      ["groups/model?group=/x", 400],
      [`groups/model?group=shop/${"x".repeat(600)}`, 400],
      ["groups/model?group=shop/a&group=shop/b", 400],
      ["edges/none/traffic", 404],
      ["edges/%00/traffic", 404],
      [`edges/${"a".repeat(65)}/traffic`, 404],
      ["edges/a%2F..%2Fb/traffic", 404],
      ["edges/a/traffic?window=1d", 400],
      ["edges/a/traffic?window=", 400],
      ["edges/a/traffic?window=1h&window=7d", 400],
      ["edges/a/traffic?since=1", 400],
      ["policy/hits?rule=a", 400],
    ];
    for (const [path, status] of cases) {
      const answer = await rig.ask(`/api/v1/${path}`);
      expect([path, answer.status]).toEqual([path, status]);
      expect(answer.headers.get("content-type")).toBe("application/problem+json");
    }
    expect(cases).toHaveLength(18);
  });
});
