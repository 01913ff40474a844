/**
 * Asks the admin API, as everybody else does: there is no other way from the page to the gateway.
 *
 * The cookie of the session goes along by itself. The header below makes it count: no foreign page can send it.
 *
 * @module
 */

/** The API refused, or could not be asked (`status` 0). The message is for people. */
export class ApiError extends Error {
  override name = "ApiError";
  constructor(
    message: string,
    readonly status: number,
    /** Where in the input, and what. A line, from 1, when the input was text. */
    readonly errors: readonly { readonly line?: number; readonly path: string; readonly message: string }[] =
      [],
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export type Method = "GET" | "POST" | "PUT" | "DELETE";

export interface Ask {
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as YAML. */
  readonly yaml?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Longer than the longest answer takes; a stream has no such limit. */
const TIMEOUT_MS = 60_000;

/** Told when the API no longer knows who asks. */
const listeners: (() => void)[] = [];

/** Calls `listener` whenever an answer says that nobody is logged in. */
export function onLoggedOut(listener: () => void): void {
  listeners.push(listener);
}

/** @param path Under `/api/v1`, such as `/events`. @throws {ApiError} */
export async function ask<T>(method: Method, path: string, options: Ask = {}): Promise<T> {
  const response = await respond(method, path, options);
  if (response.status === 204) return undefined as T;
  const isJson = response.headers.get("content-type")?.includes("json") === true;
  return (isJson ? await response.json() : await response.text()) as T;
}

/** The same, as it came. @throws {ApiError} When it is no success. */
export async function respond(method: Method, path: string, options: Ask = {}): Promise<Response> {
  const { query = {}, json, yaml, signal = AbortSignal.timeout(TIMEOUT_MS) } = options;
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") search.set(name, String(value));
  }
  const headers: Record<string, string> = { "X-Netwall-Page": "1", ...options.headers };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  if (yaml !== undefined) headers["Content-Type"] = "application/yaml";
  const body = json === undefined ? yaml : JSON.stringify(json);
  const suffix = search.size > 0 ? `?${search}` : "";
  let response: Response;
  try {
    response = await fetch(`/api/v1${path}${suffix}`, {
      ...{ method, headers, signal, credentials: "same-origin", redirect: "error" },
      ...(body === undefined ? {} : { body }),
    });
  } catch (error) {
    if (signal.aborted && (signal.reason as Error | undefined)?.name !== "TimeoutError") throw error;
    throw new ApiError("The gateway cannot be reached: is it running?", 0, [], { cause: error });
  }
  if (response.ok) return response;
  // A wrong token at the door is told there.
  if (response.status === 401 && path !== "/session") { for (const listener of listeners) listener(); }
  throw await errorOf(response);
}

/** Bodies are RFC 9457 problems. */
async function errorOf(response: Response): Promise<ApiError> {
  const fallback = `The gateway answered ${response.status}`;
  try {
    const { detail, title, errors } = await response.json() as {
      detail?: string;
      title?: string;
      errors?: { line?: number; path: string; message: string }[];
    };
    return new ApiError(detail ?? title ?? fallback, response.status, errors ?? []);
  } catch {
    return new ApiError(fallback, response.status);
  }
}

/** What went wrong, in one line. */
export function messageOf(error: unknown): string {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  const [first, ...others] = error.errors;
  if (first === undefined) return error.message;
  const more = others.length > 0 ? ` (and ${others.length} more)` : "";
  return `${error.message}: ${first.path} ${first.message}${more}`;
}
