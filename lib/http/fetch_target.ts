/**
 * `fetch` as a target: for runtimes without sockets, and only when asked for.
 *
 * It alters requests (methods, paths, header names) and answers (decoded bodies); the exact engine does not.
 *
 * @module
 */
import { type FetchHandler, TargetAwayError } from "./replay_app.ts";

/**
 * A handler that sends requests on to a base address.
 *
 * @param origin `http://HOST[:PORT]` or `https://…`, without a path.
 */
export function fetchTarget(origin: string): FetchHandler {
  return async (request) => {
    const { pathname, search } = new URL(request.url);
    const headers = new Headers(request.headers);
    headers.delete("host");
    headers.delete("connection");
    const init: RequestInit & { decompress: boolean; duplex: "half" } = {
      method: request.method,
      headers,
      body: request.body,
      signal: request.signal,
      redirect: "manual",
      duplex: "half",
      // Bun then leaves the body as it is; other runtimes do not know the option and decode it.
      decompress: false,
    };
    const response = await fetch(`${origin}${pathname}${search}`, init).catch((error: Error) => {
      throw new TargetAwayError(`Cannot fetch from ${origin}: ${error.message}`, { cause: error });
    });
    if ("Bun" in globalThis || !response.headers.has("content-encoding")) return response;
    // The body is decoded already: its coding and its old length would be lies.
    const decoded = new Headers(response.headers);
    decoded.delete("content-encoding");
    decoded.delete("content-length");
    return new Response(response.body, {
      status: response.status,
      statusText: response.statusText,
      headers: decoded,
    });
  };
}
