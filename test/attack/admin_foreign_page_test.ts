/**
 * A page of somebody else in an operator's browser: by another origin, and by a name that now means this address.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { apiRoutes } from "../../lib/admin/routes.ts";
import { apiRig } from "../admin/api_rig.ts";

/** What a browser sends along for such pages; none of them knows a token. */
const PAGES: readonly Readonly<Record<string, string>>[] = [
  { host: "127.0.0.1:9090", origin: "https://evil.example", "sec-fetch-site": "cross-site" },
  { host: "127.0.0.1:9090", origin: "null", "sec-fetch-site": "cross-site" },
  // The name was made to point here: for the browser it is one origin.
  { host: "evil.example:9090", origin: "http://evil.example:9090", "sec-fetch-site": "same-origin" },
  { host: "localhost:9090", cookie: "session=1", authorization: "Basic YWRtaW46YWRtaW4=" },
];
const OPEN = ["/healthz", "/readyz"];

test("it gets no answer but the word for probes, and may read none", async () => {
  const rig = await apiRig();
  const paths = [
    "/metrics",
    "/",
    ...apiRoutes().map(({ path }) => path.replaceAll(/\{\w+\}/g, "1")),
    ...OPEN,
  ];
  let asked = 0;
  for (const headers of PAGES) {
    for (const path of paths) {
      for (const method of ["GET", "POST", "PUT", "DELETE", "OPTIONS"]) {
        const preflight = method === "OPTIONS"
          ? { "access-control-request-method": "PUT", "access-control-request-headers": "authorization" }
          : { "content-type": "text/plain" };
        const body = method === "GET" || method === "OPTIONS" ? {} : { body: "{}" };
        const answer = await rig.app.request(path, {
          method,
          headers: { ...headers, ...preflight },
          ...body,
        });
        const isOpen = OPEN.includes(path) && method === "GET";
        // Signing in takes JSON alone, which no page can send to others without asking first.
        const isSignIn = path === "/api/v1/session" && method === "POST";
        expect([path, method, answer.status]).toEqual([path, method, isOpen ? 200 : isSignIn ? 415 : 401]);
        const names = [...answer.headers.keys()];
        expect(names.filter((name) => name.startsWith("access-control-") || name === "set-cookie")).toEqual(
          [],
        );
        expect(answer.headers.get("cross-origin-resource-policy")).toBe("same-origin");
        asked += 1;
      }
    }
  }
  expect(asked).toBe(PAGES.length * paths.length * 5);
  expect(rig.firewall.store.audits(1).items).toEqual([]);
  rig.close();
});
