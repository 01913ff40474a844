/**
 * A small service to try the wall with: a page, an event stream and an echo. It has no port.
 *
 * @module
 */

const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Behind the wall</title>
<style>
body { font: 16px/1.6 system-ui, sans-serif; max-width: 38rem; margin: 12vh auto; padding: 0 1.5rem; color-scheme: light dark }
code { font-size: .9rem } #clock { font-variant-numeric: tabular-nums }
</style></head>
<body><h1>You are behind the wall</h1>
<p>This page comes from a service that listens on no port. An agent beside it dialled out to the gateway, and your
request was replayed to it over that one socket.</p>
<p>An event stream through the same socket says it is <b id="clock">…</b>.</p>
<p>Publish your own: <code>npm start -- http://127.0.0.1:3000</code></p>
<script>new EventSource("/events").onmessage = (event) => clock.textContent = event.data;</script>
</body></html>
`;

/** Answers a request: `/`, `/events` (a time each second), and `/echo` (what was sent). */
export function sampleApp(request: Request): Response {
  const { pathname } = new URL(request.url);
  if (pathname === "/events") return events(request.signal);
  if (pathname === "/echo") {
    return new Response(request.body, { headers: { "Content-Type": "application/octet-stream" } });
  }
  if (pathname !== "/") return new Response("There is only /, /events and /echo here\n", { status: 404 });
  const page = request.headers.get("accept")?.includes("text/html");
  const type = page ? "text/html; charset=utf-8" : "text/plain; charset=utf-8";
  const body = page ? PAGE : "You are behind the wall: this service listens on no port\n";
  return new Response(body, { headers: { "Content-Type": type } });
}

function events(signal: AbortSignal): Response {
  let timer: ReturnType<typeof setInterval> | undefined;
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start: (controller): void => {
      const tell = (): void =>
        controller.enqueue(encoder.encode(`data: ${new Date().toISOString().slice(11, 19)}\n\n`));
      tell();
      timer = setInterval(tell, 1_000);
      signal.addEventListener("abort", () => clearInterval(timer));
    },
    cancel: () => clearInterval(timer),
  });
  return new Response(body, {
    headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-store" },
  });
}
