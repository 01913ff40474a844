/**
 * What of a trailer section goes on. Both directions pass trailers, and neither end is trusted with all of them.
 *
 * A reader may merge trailers into the head after every rule has looked at the head, so what frames, routes,
 * authorizes or says who called is left out. Source: RFC 9110 §6.5.1.
 *
 * @module
 */
import { isFieldValue, isToken } from "./fields.ts";
import { ESSENTIAL, plainName } from "./reading.ts";

const NO_TRAILER = new Set([
  ...ESSENTIAL,
  ...["connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer", "upgrade"],
  ...["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port"],
  ...["x-forwarded-prefix", "x-forwarded-server", "x-forwarded-ssl", "x-real-ip", "set-cookie", "expect"],
]);

/** The trailers that go on. Flat, in order. */
export function passableTrailers(trailers: string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < trailers.length; i += 2) {
    if (!NO_TRAILER.has(plainName(trailers[i]!))) kept.push(trailers[i]!, trailers[i + 1]!);
  }
  return kept;
}

/** The trailers of an answer as `node:http` takes them, or `undefined` when one cannot be written safely. */
export function trailerPairs(trailers: string[]): [string, string][] | undefined {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < trailers.length; i += 2) {
    const [name, value] = [trailers[i]!, trailers[i + 1]!];
    if (!isToken(name) || !isFieldValue(value)) return undefined;
    if (!NO_TRAILER.has(plainName(name))) pairs.push([name, value]);
  }
  return pairs;
}
