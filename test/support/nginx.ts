/**
 * A real nginx on a free port, with its own configuration in a temporary folder.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where Debian puts it. */
export const NGINX_PATH = "/usr/sbin/nginx";

/** True when nginx is installed. */
export const HAS_NGINX: boolean = existsSync(NGINX_PATH);

const START_TIMEOUT_MS = 10_000;

export interface Nginx {
  readonly port: number;
  /** The folder that it serves. */
  readonly root: string;
  stop(): Promise<void>;
}

/** Starts nginx with one worker: it serves `files` and answers 204 at /empty. */
export async function startNginx(files: Record<string, string>): Promise<Nginx> {
  const root = mkdtempSync(join(tmpdir(), "netwall-nginx-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text);
  const port = await freePort();
  writeFileSync(
    join(root, "nginx.conf"),
    `daemon off; worker_processes 1; pid ${root}/pid; error_log ${root}/error.log;
     events { worker_connections 1024; }
     http { access_log off; keepalive_requests 100000000; client_max_body_size 0;
       client_body_temp_path ${root}; proxy_temp_path ${root}; fastcgi_temp_path ${root};
       uwsgi_temp_path ${root}; scgi_temp_path ${root};
       server { listen 127.0.0.1:${port}; root ${root}; location = /empty { return 204; } } }`,
  );
  const child = spawn(NGINX_PATH, ["-c", join(root, "nginx.conf"), "-e", join(root, "error.log")], {
    stdio: "ignore",
  });
  const stop = (): Promise<void> => stopChild(child, root);
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!await answers(port)) {
    if (Date.now() > deadline || child.exitCode !== null) {
      await stop();
      throw new Error(`Cannot start nginx: it does not answer on port ${port}`);
    }
  }
  return { port, root, stop };
}

async function stopChild(child: ChildProcess, root: string): Promise<void> {
  if (child.exitCode === null) {
    const exit = new Promise((resolve) => child.on("exit", resolve));
    child.kill("SIGTERM");
    await exit;
  }
  rmSync(root, { recursive: true, force: true });
}

/** A port that was free a moment ago: nginx cannot be told to pick one. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const settle = (isUp: boolean): void => {
      socket.destroy();
      setTimeout(() => resolve(isUp), isUp ? 0 : 10);
    };
    socket.on("connect", () => settle(true)).on("error", () => settle(false));
  });
}
