/**
 * One end of a link in a process of its own: prints `ready {…}` and sends back what it gets, until it is killed.
 *
 * Arguments: `gateway`, or `agent ADDRESS` with the address as JSON.
 *
 * @module
 */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { LinkAcceptor } from "../../lib/link/acceptor.ts";
import { dialLink } from "../../lib/link/dial.ts";
import type { Link } from "../../lib/link/link.ts";

const [role, address] = process.argv.slice(2);

function echo(link: Link): void {
  link.start({
    onMessage: (chunk) => link.send(chunk),
    onDrain: () => {},
    onClose: ({ clean, message }) => void process.stdout.write(`closed ${clean} ${message}\n`),
  });
}

function ready(port: number): void {
  process.stdout.write(`ready ${JSON.stringify({ port: `${port}` })}\n`);
}

if (role === "gateway") {
  const acceptor = new LinkAcceptor<string>({
    authenticate: () => Promise.resolve({ ok: true, identity: "any" }),
    onLink: echo,
  });
  const server = createServer();
  server.on("upgrade", (request, socket, head) => acceptor.handleUpgrade(request, socket, head));
  server.listen(0, "127.0.0.1", () => ready((server.address() as AddressInfo).port));
} else {
  dialLink({ gateway: JSON.parse(address ?? "null"), token: "good" }).then((link) => {
    echo(link);
    ready(0);
  });
}
