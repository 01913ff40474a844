/**
 * The programs of the sample: a small shop in four parts, each a function that its agent calls. None has a port.
 *
 *     visitor → front-end → catalogue
 *                        → user → user-db
 *                        → payment → a host outside
 *
 * Each part calls the next one by a door of its own agent. They are a little slow and fail now and then, as programs do.
 *
 * @module
 */
import { setTimeout as pause } from "node:timers/promises";
import type { FetchHandler } from "../http/replay_app.ts";
import { sampleApp } from "../http/sample_app.ts";
import type { Answer, Client, Question } from "./client.ts";
import { askDatabase } from "./database.ts";
import { between, type Random } from "./random.ts";

/** Products of the catalogue, from 1. */
export const PRODUCTS = 40;
/** What the verifier's bank lends: an order of more is not paid. */
export const CENTS_MAX = 9_000;

/** One request to the catalogue in that many fails. */
const FAULT_EVERY = 60;
/** What is read of a request: the largest one here has under 200 bytes. */
const BODY_CHARS_MAX = 8 << 10;

/** What every program works with. */
export interface AppTools {
  readonly random: Random;
  /** What calls go out by. */
  readonly client: Client;
}

/** The doors of the front end: paths of sockets. */
export interface FrontEndDoors {
  readonly catalogue: string;
  readonly user: string;
  readonly payment: string;
}

/** What visitors see: the pages of `sampleApp`, and a shop whose answers come from the other parts. */
export function frontEndApp(doors: FrontEndDoors, { random, client }: AppTools): FetchHandler {
  const get = (service: keyof FrontEndDoors, path: string): Promise<Answer> =>
    client.ask({ at: { socketPath: doors[service] }, authority: service, method: "GET", path });
  const post = (service: keyof FrontEndDoors, path: string, value: unknown): Promise<Answer> =>
    client.ask({
      ...{ at: { socketPath: doors[service] }, authority: service, method: "POST", path },
      body: jsonBody(value),
    });

  const order = async (request: Request): Promise<Response> => {
    const { customer, product, cents } = await fieldsOf(request);
    if (![customer, product, cents].every(Number.isSafeInteger)) return json(400, { error: "Not an order" });
    for (const asked of [get("user", `/users/${customer}`), get("catalogue", `/products/${product}`)]) {
      const found = await asked;
      if (found.status !== 200) return passOn(found);
    }
    const paid = await post("payment", "/payments", { customer, cents });
    return paid.status === 201 ? json(201, { order: crypto.randomUUID(), product }) : passOn(paid);
  };
  const logIn = async (request: Request): Promise<Response> => {
    const customer = new URLSearchParams(await textOf(request)).get("customer") ?? "";
    if (!/^\d{1,9}$/.test(customer)) return json(400, { error: "Not a customer" });
    return passOn(await post("user", "/sessions", { customer: Number(customer) }));
  };
  const read = async (path: string): Promise<Response> => {
    if (path === "/catalogue") return passOn(await get("catalogue", "/products"));
    const [, noun, id] = /^\/(catalogue|customers)\/(\d{1,9})$/.exec(path) ?? [];
    if (noun === "catalogue") return passOn(await get("catalogue", `/products/${id}`));
    if (noun === "customers") return passOn(await get("user", `/users/${id}`));
    if (ORDER_PATH.test(path)) return json(200, { state: "packed" });
    if (path === "/favicon.ico") return new Response(null, { status: 204 });
    return NOT_FOUND();
  };
  return guarded(async (request) => {
    const { pathname } = new URL(request.url);
    if (SAMPLE_PATHS.has(pathname)) return sampleApp(request);
    await pause(between(random, 1, 6));
    if (request.method === "GET" || request.method === "HEAD") return await read(pathname);
    if (request.method === "POST" && pathname === "/orders") return await order(request);
    if (request.method === "POST" && pathname === "/login") return await logIn(request);
    return NOT_FOUND();
  });
}

const SAMPLE_PATHS: ReadonlySet<string> = new Set(["/", "/events", "/echo"]);
const ORDER_PATH = /^\/orders\/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** What is on sale. */
export function catalogueApp({ random }: Pick<AppTools, "random">): FetchHandler {
  return guarded(async (request) => {
    const { pathname } = new URL(request.url);
    // Most are in memory, the others have to be fetched.
    await pause(random() < 0.8 ? between(random, 2, 18) : between(random, 40, 100));
    if (between(random, 1, FAULT_EVERY) === 1) return json(500, { error: "The shelf is stuck" });
    if (pathname === "/products") return json(200, [1, 2, 3].map(productOf));
    const id = Number(/^\/products\/(\d{1,9})$/.exec(pathname)?.[1] ?? 0);
    return id >= 1 && id <= PRODUCTS ? json(200, productOf(id)) : NOT_FOUND();
  });
}

function productOf(id: number): { id: number; name: string; cents: number } {
  return { id, name: `Socks no. ${id}`, cents: 500 + 50 * id };
}

/** The customers. @param database The path of the socket that leads to it. */
export function userApp(database: string, { random }: Pick<AppTools, "random">): FetchHandler {
  return guarded(async (request) => {
    const { pathname } = new URL(request.url);
    await pause(between(random, 1, 8));
    const id = /^\/users\/(\d{1,9})$/.exec(pathname)?.[1];
    if (id !== undefined) {
      const name = await askDatabase(database, `GET user:${id}`);
      return name === undefined ? NOT_FOUND() : json(200, { id: Number(id), name });
    }
    if (request.method !== "POST" || pathname !== "/sessions") return NOT_FOUND();
    const { customer } = await fieldsOf(request);
    if (!Number.isSafeInteger(customer)) return json(400, { error: "Not a customer" });
    const session = crypto.randomUUID();
    await askDatabase(database, `SET session:${session} ${customer}`);
    return json(201, { session });
  });
}

/**
 * Payments: each is verified by a host outside.
 *
 * @param proxy The path of the socket of the agent's proxy.
 * @param verifier `HOST:PORT`.
 */
export function paymentApp(proxy: string, verifier: string, { random, client }: AppTools): FetchHandler {
  return guarded(async (request) => {
    const { pathname } = new URL(request.url);
    if (request.method !== "POST" || pathname !== "/payments") return NOT_FOUND();
    const { cents } = await fieldsOf(request);
    await pause(between(random, 5, 30));
    const verified = await client.ask({
      ...outsideQuestion(proxy, verifier, "/verify"),
      ...{ method: "POST", body: jsonBody({ cents }) },
    });
    const isPaid = verified.status === 200 && typeof cents === "number" && cents <= CENTS_MAX;
    return isPaid ? json(201, { paid: true }) : json(402, { paid: false, verifier: verified.status });
  });
}

/** A request to a host outside, by the proxy of an agent. Source: RFC 9112 §3.2.2 (absolute-form). */
export function outsideQuestion(proxy: string, host: string, path: string): Question {
  return { at: { socketPath: proxy }, authority: host, method: "GET", path: `http://${host}${path}` };
}

/** What is behind this program failed, or could not be reached: that is no fault of its own. */
function guarded(handler: (request: Request) => Promise<Response>): FetchHandler {
  return async (request) => {
    try {
      return await handler(request);
    } catch (error) {
      return json(502, { error: error instanceof Error ? error.message : "It failed" });
    }
  };
}

/** The answer of another part, for who asked this one. What only this part did wrong is no answer of the visitor's. */
function passOn({ status, body }: Answer): Response {
  if (!PASSED_ON.has(status)) return json(502, { error: `Another part answered ${status}` });
  return new Response(body, { status, headers: { "Content-Type": "application/json" } });
}

const PASSED_ON: ReadonlySet<number> = new Set([200, 201, 402, 404, 500]);

const NOT_FOUND = (): Response => json(404, { error: "There is no such thing here" });

function json(status: number, value: unknown): Response {
  return new Response(`${JSON.stringify(value)}\n`, {
    status,
    headers: { "Content-Type": "application/json" },
  });
}

function jsonBody(value: unknown): { type: string; text: string } {
  return { type: "application/json", text: JSON.stringify(value) };
}

/** @throws {Error} It is longer than any request of the sample. */
async function textOf(request: Request): Promise<string> {
  let text = "";
  if (request.body === null) return text;
  for await (const chunk of request.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.length > BODY_CHARS_MAX) throw new RangeError("The body is too long");
  }
  return text;
}

/** The fields of a JSON object; of anything else none. */
async function fieldsOf(request: Request): Promise<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(await textOf(request));
    return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}
