/**
 * Payments: each is checked by a verifier outside, which it reaches by the proxy of its agent.
 *
 *   PROXY=/…/proxy.sock VERIFIER=HOST:PORT bun examples/shop/payment.ts
 *
 * @module
 */
import { call, door, json, NOT_SO, serve } from "./service.ts";

const proxy = door("PROXY");
const verifier = door("VERIFIER");

serve(async ({ method, path, contentType, body }) => {
  if (method !== "POST" || path !== "/payments" || contentType !== "application/json") return NOT_SO;
  const verified = await call({
    ...{ socketPath: proxy, method: "POST", path: `http://${verifier}/verify`, host: verifier },
    ...{ contentType, body },
  });
  return verified.status === 200
    ? json(201, { paid: true })
    : json(402, { paid: false, by: verified.status });
});
