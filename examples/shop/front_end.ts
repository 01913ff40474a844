/**
 * The front end: what visitors see. It asks `user` for customers, and `payment` for money.
 *
 *   USER_DOOR=/…/user.sock PAYMENT_DOOR=/…/payment.sock bun examples/shop/front_end.ts
 *
 * @module
 */
import { type Answer, type Asked, call, door, json, NOT_FOUND, NOT_SO, serve } from "./service.ts";
import { ASSETS } from "./traffic.ts";

const userDoor = door("USER_DOOR");
const paymentDoor = door("PAYMENT_DOOR");

const PAGE =
  "<!doctype html><title>Sock shop</title><link rel=stylesheet href=/assets/site.css><h1>Socks</h1>\n";
const UUID = /^\/orders\/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const askUser = (method: string, path: string, body?: unknown): Promise<Answer> =>
  call({ socketPath: userDoor, host: "user", method, path, ...asJson(body) });

function asJson(body: unknown): { contentType?: string; body?: string } {
  return body === undefined ? {} : { contentType: "application/json", body: JSON.stringify(body) };
}

async function order(asked: Asked): Promise<Answer> {
  const { customer, product, cents } = JSON.parse(asked.body) as Record<string, number>;
  const known = await askUser("GET", `/users/${customer}`);
  if (known.status !== 200) return known;
  const paid = await call({
    ...{ socketPath: paymentDoor, host: "payment", method: "POST", path: "/payments" },
    ...asJson({ customer, cents }),
  });
  return paid.status === 201 ? json(201, { id: crypto.randomUUID(), customer, product }) : json(502, paid);
}

function read(path: string): Promise<Answer> | Answer {
  if (path === "/") return { status: 200, contentType: "text/html", body: PAGE };
  if (ASSETS.some((name) => path === `/assets/${name}`)) {
    return { status: 200, contentType: "text/plain", body: path };
  }
  if (path === "/catalogue") return json(200, [1, 2, 3].map((id) => ({ id, name: `Sock ${id}` })));
  const product = /^\/catalogue\/(\d+)$/.exec(path)?.[1];
  if (product !== undefined) return json(200, { id: Number(product), name: `Sock ${product}`, cents: 900 });
  if (/^\/users\/\d+$/.test(path)) return askUser("GET", path);
  if (UUID.test(path)) return json(200, { state: "packed" });
  return NOT_FOUND;
}

serve((asked) => {
  const { method, path, contentType, body } = asked;
  if (method === "GET") return read(path);
  if (method !== "POST") return NOT_SO;
  if (path === "/orders") return contentType === "application/json" ? order(asked) : NOT_SO;
  if (path === "/login" && contentType === "application/x-www-form-urlencoded") {
    const form = new URLSearchParams(body);
    return askUser("POST", "/sessions", { customer: Number(form.get("customer")) });
  }
  return NOT_SO;
});
