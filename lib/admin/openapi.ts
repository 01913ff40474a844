/**
 * The OpenAPI document of the admin API, made from its routes.
 *
 * Source: OpenAPI 3.1.0; its schemas are JSON Schema 2020-12.
 *
 * @module
 */
import { z } from "zod";
import { SESSION_COOKIE } from "../session_cookie.ts";
import { VERSION } from "../version.ts";
import { PAGE_HEADER } from "./access.ts";
import { type Route, statusOf } from "./route.ts";
import { NAMED_SCHEMAS } from "./schemas.ts";

type Json = Record<string, unknown>;

/** What any route may answer besides. */
const FAULTS: Readonly<Record<string, string>> = {
  400: "The query or the body cannot be read",
  401: "No token, or none that holds",
  403: "The role of the token is too small",
  404: "There is nothing by that name",
  409: "It is not as the caller thinks",
  412: "The policy is of another version than If-Match names",
  413: "The body is too large",
  415: "The body is of another type",
  422: "The input cannot be used: see errors",
  429: "Too many wrong tokens came from this address",
  503: "It cannot be done now",
};

/** Makes the document. */
export function openApiDocument(routes: readonly Route[]): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    (paths[route.path] ??= {})[route.method] = operationOf(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "netwall admin API",
      version: VERSION,
      description:
        "Times are milliseconds since 1970 where a name ends in Ms. Every request carries a Bearer token, or comes " +
        `from the page with the cookie of its session and ${PAGE_HEADER}: 1; the role that it needs is named in the ` +
        "security of each operation. Faults are problem documents (RFC 9457).",
    },
    servers: [{ url: "/" }],
    paths,
    components: {
      schemas: componentsOf(routes),
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        session: { type: "apiKey", in: "cookie", name: SESSION_COOKIE },
        page: { type: "apiKey", in: "header", name: PAGE_HEADER, description: "Always 1" },
      },
    },
  };
}

function operationOf(route: Route): Json {
  const { id, summary, description, role, answer, body } = route;
  const media = answer.media ?? (answer.schema === undefined ? undefined : "application/json");
  const schema = answer.media === undefined ? reference(`${nameOf(id)}Answer`) : { type: "string" };
  const faults = Object.entries(FAULTS).map(([code, text]) => [code, {
    description: text,
    content: { "application/problem+json": { schema: reference("Problem") } },
  }]);
  return {
    operationId: id,
    summary,
    ...(description === "" ? {} : { description }),
    security: role === "anyone" ? [{ page: [] }] : [{ bearer: [role] }, { session: [role], page: [] }],
    parameters: [...parametersOf(route.params, "path"), ...parametersOf(route.query, "query")],
    ...(body === undefined ? {} : {
      requestBody: {
        required: body.isOptional !== true,
        description: `At most ${body.bytesMax} bytes`,
        content: Object.fromEntries(
          body.media.map((type) => [type, { schema: reference(`${nameOf(id)}Body`) }]),
        ),
      },
    }),
    responses: {
      ...Object.fromEntries(faults),
      [statusOf(answer)]: {
        description: answer.description,
        ...(media === undefined ? {} : { content: { [media]: { schema } } }),
      },
    },
  };
}

function parametersOf(schema: z.ZodType, place: "path" | "query"): Json[] {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: "input" });
  return Object.entries(properties).map(([name, value]) => {
    const { description, ...rest } = value as Json;
    return {
      ...{ name, in: place, required: place === "path" || required.includes(name) },
      ...(description === undefined ? {} : { description }),
      schema: rest,
    };
  });
}

/** Answers as they come out, bodies as they go in: what has a default may be left out of one and not of the other. */
function componentsOf(routes: readonly Route[]): Json {
  const answers = z.registry<{ id: string }>();
  const bodies = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(NAMED_SCHEMAS)) answers.add(schema, { id });
  // A schema that has a name already gets another by a wrapper that refers to it.
  const aliases: Json = {};
  const nameOfNamed = new Map(Object.entries(NAMED_SCHEMAS).map(([id, schema]) => [schema, id]));
  for (const { id, answer, body } of routes) {
    const known = answer.schema && nameOfNamed.get(answer.schema);
    if (known !== undefined) aliases[`${nameOf(id)}Answer`] = reference(known);
    else if (answer.schema !== undefined) answers.add(answer.schema, { id: `${nameOf(id)}Answer` });
    if (body === undefined) continue;
    const first = bodies.get(body.schema)?.id;
    if (first !== undefined) aliases[`${nameOf(id)}Body`] = reference(first);
    else bodies.add(body.schema, { id: `${nameOf(id)}Body` });
  }
  return { ...schemasOf(answers, "output"), ...schemasOf(bodies, "input"), ...aliases };
}

function schemasOf(registry: z.core.$ZodRegistry<{ id: string }>, io: "input" | "output"): Json {
  const { schemas } = z.toJSONSchema(registry, { io, uri: (id) => `#/components/schemas/${id}` });
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $schema: _dialect, $id: _id, ...schema }]) => [id, schema]),
  );
}

function reference(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}

function nameOf(operation: string): string {
  return operation.charAt(0).toUpperCase() + operation.slice(1);
}
