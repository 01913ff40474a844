/**
 * The link over WebSocket: the contract over every kind of socket and in both directions.
 *
 * @module
 */

import { linkPairs, makeCertificates } from "./link_pairs.ts";
import { runLinkContract } from "../contract/link.ts";

const certificates = makeCertificates();

for (const direction of ["agent to gateway", "gateway to agent"] as const) {
  runLinkContract(`ws, ${direction}`, linkPairs("ws", direction));
  runLinkContract(`wss, ${direction}`, linkPairs("wss", direction, certificates));
  runLinkContract(`unix, ${direction}`, linkPairs("unix", direction));
}
