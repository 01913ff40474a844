/**
 * One host for the route and another for the target, one path for the rule and another for the server behind it.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { AttackRig } from "../support/attack_rig.ts";
import { RecordingTarget } from "../support/raw_http.ts";

const rig = new AttackRig();
const secret = new RecordingTarget();
beforeAll(async () => {
  await secret.listen();
  await rig.start({
    gateway: {
      route: ["*=web", "admin.example=secret", "app.example/admin=secret", "*.wild.example=secret"],
    },
  });
  await rig.wall.link({ serve: [`secret=http://127.0.0.1:${secret.port}`] });
});
afterAll(async () => {
  await rig.close();
  secret.close();
});

function counts(): [number, number] {
  return [rig.target.requests.length, secret.requests.length];
}

const REFUSED: [string, string][] = [
  ["no Host", "GET / HTTP/1.1\r\n\r\n"],
  ["two Hosts", "GET / HTTP/1.1\r\nHost: app.example\r\nHost: admin.example\r\n\r\n"],
  ["two equal Hosts", "GET / HTTP/1.1\r\nHost: app.example\r\nhost: app.example\r\n\r\n"],
  ["an empty Host", "GET / HTTP/1.1\r\nHost: \r\n\r\n"],
  ["a list of hosts", "GET / HTTP/1.1\r\nHost: app.example, admin.example\r\n\r\n"],
  ["userinfo", "GET / HTTP/1.1\r\nHost: app.example@admin.example\r\n\r\n"],
  ["a path in Host", "GET / HTTP/1.1\r\nHost: app.example/admin\r\n\r\n"],
  ["a query in Host", "GET / HTTP/1.1\r\nHost: app.example?x\r\n\r\n"],
  ["a fragment in Host", "GET / HTTP/1.1\r\nHost: app.example#@admin.example\r\n\r\n"],
  ["a backslash in Host", "GET / HTTP/1.1\r\nHost: app.example\\admin.example\r\n\r\n"],
  ["two ports", "GET / HTTP/1.1\r\nHost: app.example:80:81\r\n\r\n"],
  ["a port that is none", "GET / HTTP/1.1\r\nHost: app.example:99999\r\n\r\n"],
  ["an absolute target of another host", "GET http://admin.example/ HTTP/1.1\r\nHost: app.example\r\n\r\n"],
  ["an absolute target of another port", "GET http://app.example:81/ HTTP/1.1\r\nHost: app.example\r\n\r\n"],
  [
    "an absolute target with userinfo",
    "GET http://app.example@admin.example/ HTTP/1.1\r\nHost: app.example\r\n\r\n",
  ],
  ["another scheme", "GET gopher://app.example/ HTTP/1.1\r\nHost: app.example\r\n\r\n"],
  ["an authority as target", "GET admin.example:80 HTTP/1.1\r\nHost: app.example\r\n\r\n"],
  ["a path that tidies into another service", "GET /x/../admin HTTP/1.1\r\nHost: app.example\r\n\r\n"],
  ["an encoded path into another service", "GET /%61dmin HTTP/1.1\r\nHost: app.example\r\n\r\n"],
  ["an encoded dot", "GET /x/%2e%2e/admin HTTP/1.1\r\nHost: app.example\r\n\r\n"],
  ["an encoded slash", "GET /x%2f..%2fadmin HTTP/1.1\r\nHost: app.example\r\n\r\n"],
  ["a double slash", "GET //admin HTTP/1.1\r\nHost: app.example\r\n\r\n"],
  ["a backslash", "GET /x\\..\\admin HTTP/1.1\r\nHost: app.example\r\n\r\n"],
  ["a path parameter", "GET /admin;x HTTP/1.1\r\nHost: app.example\r\n\r\n"],
  ["a way out of a service", "GET /admin/../x HTTP/1.1\r\nHost: app.example\r\n\r\n"],
];

describe("what names two hosts or two services is refused", () => {
  for (const [name, text] of REFUSED) {
    test(name, async () => {
      const before = counts();
      expect(await rig.attack(text)).toMatch(/^HTTP\/1.1 400 /);
      expect(counts()).toEqual(before);
    });
  }

  test("there were as many as thought of", () => expect(REFUSED).toHaveLength(25));
});

describe("every spelling of a host leads to its own service", () => {
  const cases: [string, string, "web" | "secret"][] = [
    ["admin.example", "/", "secret"],
    ["ADMIN.Example:8080", "/", "secret"],
    ["admin.example.", "/", "secret"],
    ["admin.example.:80", "/", "secret"],
    ["app.example", "/admin", "secret"],
    ["app.example", "/admin/x?y=/../z", "secret"],
    ["APP.example.", "/admin", "secret"],
    ["a.wild.example", "/", "secret"],
    ["app.example", "/administrator", "web"],
    ["app.example", "/Admin", "web"],
    ["app.example", "/?/admin", "web"],
    ["xadmin.example", "/", "web"],
    ["admin.example.evil", "/", "web"],
    ["wild.example.evil", "/", "web"],
    ["127.0.0.1", "/", "web"],
    ["[::1]:80", "/", "web"],
  ];
  for (const [host, path, service] of cases) {
    test(`${host}${path} is ${service}`, async () => {
      const [web, hidden] = counts();
      await rig.attack(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      expect(counts()).toEqual(service === "web" ? [web + 1, hidden] : [web, hidden + 1]);
      const target = service === "web" ? rig.target : secret;
      expect(target.requests.at(-1)?.raw.startsWith(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n`)).toBe(true);
    });
  }

  test("there were as many as thought of", () => expect(cases).toHaveLength(16));

  test("fields that other proxies route by are not looked at", async () => {
    const [web, hidden] = counts();
    const fields = [
      "X-Forwarded-Host",
      "X-Host",
      "X-Original-URL",
      "X-Rewrite-URL",
      "X-HTTP-Host-Override",
      "Forwarded",
    ];
    for (const name of fields) {
      const value = name === "Forwarded"
        ? "host=admin.example"
        : name.endsWith("URL")
        ? "/admin"
        : "admin.example";
      await rig.attack(`GET / HTTP/1.1\r\nHost: app.example\r\n${name}: ${value}\r\n\r\n`);
    }
    expect(counts()).toEqual([web + fields.length, hidden]);
  });

  test("the path of links leads to no service, however it is written", async () => {
    const before = counts();
    for (const path of ["/.netwall/link", "/.netwall/link?x", "/%2enetwall/link"]) {
      expect(await rig.attack(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)).toMatch(/^HTTP\/1.1 4/);
    }
    expect(counts()).toEqual(before);
  });
});
