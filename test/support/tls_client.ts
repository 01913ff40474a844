/**
 * A TLS client for tests of listeners: one line per question.
 *
 * @module
 */
import tls from "node:tls";

/** What a handshake came to: the common name of the certificate and the protocol, or an error. */
export interface Handshake {
  readonly commonName?: string;
  readonly alpn?: string | false | null;
  readonly error?: string;
}

/** Connects, and resolves when the handshake is done. The caller destroys the socket. */
export function dialTls(port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options }, () => {
      socket.off("close", onClose);
      resolve(socket);
    });
    const onClose = (): void => reject(new Error("closed"));
    socket.on("error", reject);
    socket.on("close", onClose);
  });
}

/** Does one handshake and says goodbye, so that the server sees the handshake to its end. Never rejects. */
export async function shakeHands(port: number, options: tls.ConnectionOptions = {}): Promise<Handshake> {
  try {
    const socket = await dialTls(port, options);
    const commonName = String(socket.getPeerCertificate().subject.CN);
    const alpn = socket.alpnProtocol;
    await new Promise((resolve) => socket.on("close", resolve).resume().end());
    return { commonName, alpn };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

/** Resolves once `condition` holds; rejects after 10 s, naming what was awaited. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const endMs = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`Gave up waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
