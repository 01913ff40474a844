/**
 * The customers, from a database that it reaches by a door of its agent.
 *
 *   DB_DOOR=/…/user-db.sock bun examples/shop/user.ts
 *
 * @module
 */
import { connect } from "node:net";
import { redis } from "./redis.ts";
import { type Answer, door, json, NOT_FOUND, NOT_SO, serve } from "./service.ts";

const dbDoor = door("DB_DOOR");

/** One connection for each question, as small programs do. */
async function ask(...words: string[]): Promise<string | null> {
  const client = redis(connect({ path: dbDoor }));
  try {
    return await client.ask(...words);
  } finally {
    client.close();
  }
}

async function customer(id: string): Promise<Answer> {
  const name = await ask("GET", `user:${id}`);
  return name === null ? NOT_FOUND : json(200, { id: Number(id), name });
}

async function logIn(body: string): Promise<Answer> {
  const { customer } = JSON.parse(body) as { customer: number };
  const session = crypto.randomUUID();
  await ask("SET", `session:${session}`, String(customer));
  return json(201, { session });
}

serve(({ method, path, contentType, body }) => {
  const id = /^\/users\/(\d+)$/.exec(path)?.[1];
  if (method === "GET") return id === undefined ? NOT_FOUND : customer(id);
  if (method === "POST" && path === "/sessions" && contentType === "application/json") return logIn(body);
  return NOT_SO;
});
