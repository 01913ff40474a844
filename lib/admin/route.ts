/**
 * One route of the admin API: declared once, checked and described by what is declared.
 *
 * The schemas are the only reading of what comes in: a handler sees values that have passed them. The same schemas
 * make the OpenAPI document.
 *
 * @module
 */
import { z } from "zod";
import type { Backend } from "./backend.ts";
import { type BodyReader, readBody } from "./body.ts";
import type { Actor } from "./control.ts";
import type { Caller } from "./access.ts";
import { printable } from "../printable.ts";
import { ApiFault, inputFault } from "./fault.ts";

export type Method = "get" | "post" | "put" | "delete";

/** What a route answers when all is well. */
export interface AnswerSpec<A> {
  /** @default 200, or 204 without schema and media */
  readonly status?: 200 | 201 | 204;
  readonly description: string;
  /** Of a JSON answer. */
  readonly schema?: z.ZodType<A>;
  /** Of an answer that is no JSON: the handler returns a `Response`. */
  readonly media?: string;
}

/** The status of an answer that is declared. */
export function statusOf({ status, schema, media }: AnswerSpec<unknown>): number {
  return status ?? (schema === undefined && media === undefined ? 204 : 200);
}

/** What a handler is given. */
export interface Call<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly actor: Actor;
  readonly caller: Caller;
  /** The address of the other end; an IPv6 one by its network. Empty on a unix socket. */
  readonly peer: string;
  readonly backend: Backend;
  /** Of the request. */
  readonly headers: Headers;
  /** Headers that go with the answer. */
  readonly answerHeaders: Headers;
  /** Cuts the connection: an answer that cannot be finished must not look whole. */
  readonly cut: (() => void) | undefined;
  /** Does a piece of what is much work in a turn of its own. The handler is called in one already. */
  turn<T>(work: () => T): Promise<Awaited<T>>;
}

export interface RouteSpec<P, Q, B, A> {
  /** Unique, in camelCase: the operationId. */
  readonly id: string;
  readonly method: Method;
  /** Such as `/api/v1/events/{id}`. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  /** The smallest role that may ask. `anyone`: before anybody is known, `caller` is then nobody. */
  readonly role: Actor["role"] | "anyone";
  readonly params?: z.ZodType<P>;
  readonly query?: z.ZodType<Q>;
  readonly body?: BodyReader<B>;
  readonly answer: AnswerSpec<A>;
  handle(call: Call<P, Q, B>): A | Response | Promise<A | Response>;
}

/** What comes with a request, before it is checked. */
export interface RawCall {
  readonly request: Request;
  readonly params: Readonly<Record<string, string>>;
  readonly caller: Caller;
  /** The address of the other end; an IPv6 one by its network. Empty on a unix socket. */
  readonly peer: string;
  readonly backend: Backend;
  readonly cut: (() => void) | undefined;
}

/** A route whose types are checked and closed over. */
export interface Route {
  readonly id: string;
  readonly method: Method;
  readonly path: string;
  readonly summary: string;
  readonly description: string;
  readonly role: Actor["role"] | "anyone";
  readonly params: z.ZodType;
  readonly query: z.ZodType;
  readonly body: BodyReader<unknown> | undefined;
  readonly answer: AnswerSpec<unknown>;
  /** @throws {ApiFault} And whatever the backend throws. */
  answerTo(raw: RawCall): Promise<Response>;
}

type Nothing = Record<never, never>;
const NOTHING = z.strictObject({});

/** Declares a route. */
export function route<P = Nothing, Q = Nothing, B = undefined, A = void>(spec: RouteSpec<P, Q, B, A>): Route {
  const { description = "", body } = spec;
  const params = (spec.params ?? NOTHING) as z.ZodType<P>;
  const query = (spec.query ?? NOTHING) as z.ZodType<Q>;
  return {
    ...{ id: spec.id, method: spec.method, path: spec.path, summary: spec.summary, role: spec.role },
    ...{ description, params, query, body, answer: spec.answer },
    async answerTo({ request, params: given, caller, peer, backend, cut }: RawCall): Promise<Response> {
      if (spec.role === "operator" && caller.actor.role !== "operator") {
        throw new ApiFault(403, "This needs an admin token with the role operator: yours is viewer");
      }
      const parsedParams = params.safeParse(given);
      // A name that cannot be is a name that is not there.
      if (!parsedParams.success) throw inputFault(404, "There is nothing by that name", parsedParams.error);
      const answerHeaders = new Headers();
      const parsedQuery = parseQuery(query, new URL(request.url).searchParams);
      const text = body === undefined ? "" : await readBody(request, body);
      const { actor } = caller;
      const turn = <T>(work: () => T): Promise<Awaited<T>> => backend.turns.take(actor.role, work);
      const respond = (answer: A | Response): Response =>
        answer instanceof Response ? answer : jsonResponse(answer, statusOf(spec.answer), answerHeaders);
      // Without a reader the type is `undefined`, by the default of `B`.
      const parsedBody = (body === undefined ? undefined : await turn(() => body.parse(text))) as B;
      return await turn(() => {
        const answer = spec.handle({
          params: parsedParams.data,
          query: parsedQuery,
          body: parsedBody,
          ...{ actor, caller, peer, backend, headers: request.headers, answerHeaders, cut, turn },
        });
        return answer instanceof Promise ? answer.then((late) => turn(() => respond(late))) : respond(answer);
      });
    },
  };
}

function parseQuery<Q>(schema: z.ZodType<Q>, given: URLSearchParams): Q {
  const names = [...given.keys()];
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  // Which of the two would count? A filter must never silently be another one.
  if (twice !== undefined) {
    const errors = [{ path: twice.slice(0, 64), message: "is given twice" }];
    throw new ApiFault(400, "Cannot read the query: see errors", errors);
  }
  const result = schema.safeParse(Object.fromEntries(given));
  if (!result.success) throw inputFault(400, "Cannot read the query: see errors", result.error);
  return result.data;
}

function jsonResponse(answer: unknown, status: number, headers: Headers): Response {
  if (status === 204) return new Response(null, { status, headers });
  headers.set("Content-Type", "application/json");
  // JSON escapes less than the terminal of who looks at it minds; what is escaped here is escaped the JSON way too.
  return new Response(`${printable(JSON.stringify(answer))}\n`, { status, headers });
}
