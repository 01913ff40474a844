/**
 * SPEC.md says what the code does: every type, code, kind and limit stands in it, and its example is the fixture.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import { LINK_MESSAGE_BYTES_MAX } from "../../lib/link/link.ts";
import { PERMANENT_CODES } from "../../lib/link/refusal.ts";
import { LINK_SUBPROTOCOL } from "../../lib/link/websocket.ts";
import { STALLED_MS } from "../../lib/mux/budget.ts";
import {
  HELD_PIECE_BYTES,
  STREAM_WINDOW_BYTES,
  STREAM_WINDOW_BYTES_MAX,
  STREAM_WINDOW_BYTES_MIN,
} from "../../lib/mux/receiver.ts";
import { CONTROL_BACKLOG_BYTES_MAX } from "../../lib/mux/sender.ts";
import { HELLO_TIMEOUT_MS } from "../../lib/mux/session_options.ts";
import { ErrorCode } from "../../lib/wire/errors.ts";
import {
  DATA_BYTES_MAX,
  FLAG_END,
  FRAME_HEADER_BYTES,
  FRAME_PAYLOAD_BYTES_MAX,
  FrameType,
  IGNORABLE_TYPE_MAX,
  IGNORABLE_TYPE_MIN,
  PING_BYTES,
  REPORT_BYTES_MAX,
  STREAM_ID_MAX,
} from "../../lib/wire/frame.ts";
import { FIELDS_MAX, HEAD_BYTES_MAX, METHOD_BYTES_MAX } from "../../lib/wire/head.ts";
import { VERSION, VERSION_FLOOR, WINDOW_BYTES_MAX } from "../../lib/wire/hello.ts";
import { DETAIL_BYTES_MAX, SERVICE_BYTES_MAX, StreamKind } from "../../lib/wire/open.ts";
import { concat } from "../support/naive_codec.ts";
import { parseHex, readHex } from "../support/hex_frames.ts";

const SPEC = readFileSync(join(import.meta.dirname!, "../../lib/wire/SPEC.md"), "utf8");
/** Without the padding of tables and the line ends within sentences. */
const PROSE = SPEC.replaceAll(/\s+/g, " ");
const hex = (code: number): string => `0x${code.toString(16).padStart(2, "0")}`;

describe("SPEC.md", () => {
  test("has a row for every frame type", () => {
    const types = Object.entries(FrameType);
    for (const [name, code] of types) expect(PROSE).toContain(`| ${hex(code)} | ${name.toUpperCase()} |`);
    expect(types).toHaveLength(11);
  });

  test("has a row for every error code, and for no other", () => {
    const codes = Object.entries(ErrorCode);
    for (const [name, code] of codes) expect(PROSE).toContain(`| ${hex(code)} | \`${name}\` |`);
    expect(PROSE.match(/\| 0x[0-9a-f]{2} \| `/g)).toHaveLength(codes.length);
    expect(codes).toHaveLength(22);
  });

  test.each([
    [`netwall wire, version ${VERSION}`],
    [`the floor of this code is ${VERSION_FLOOR}`],
    [`\`${LINK_SUBPROTOCOL}\``],
    [`(${LINK_MESSAGE_BYTES_MAX} bytes)`],
    [`The header has ${FRAME_HEADER_BYTES} bytes`],
    [`0 to ${FRAME_PAYLOAD_BYTES_MAX}`],
    [`at most ${DATA_BYTES_MAX} bytes by choice`],
    [`Types ${hex(IGNORABLE_TYPE_MIN)} to ${hex(IGNORABLE_TYPE_MAX)}`],
    [`**END** = ${hex(FLAG_END)}`],
    [`${PING_BYTES} bytes of the sender's choice`],
    [`The largest is ${STREAM_ID_MAX}`],
    [`Windows are at most ${WINDOW_BYTES_MAX}`],
    [`A sum over ${WINDOW_BYTES_MAX}`],
    [`A head or a list is at most ${HEAD_BYTES_MAX} bytes`],
    [`how many fields, at most ${FIELDS_MAX}`],
    [`so at most ${METHOD_BYTES_MAX})`],
    [`the length of the service name, 1 to ${SERVICE_BYTES_MAX}; 0 for \`egress\``],
    [`over ${REPORT_BYTES_MAX} bytes or no field list`],
    [`UTF-8, at most ${DETAIL_BYTES_MAX} bytes`],
    [`under 4 or over ${DETAIL_BYTES_MAX + 4} bytes`],
    [`(${HELLO_TIMEOUT_MS} ms)`],
    [`starts streams with ${STREAM_WINDOW_BYTES} bytes`],
    [`up to ${STREAM_WINDOW_BYTES_MAX}`],
    [`down to ${STREAM_WINDOW_BYTES_MIN}`],
    [`(${STALLED_MS} ms) may be reset with \`overloaded\``],
    [`its bytes and ${HELD_PIECE_BYTES} more`],
    [`| ${CONTROL_BACKLOG_BYTES_MAX} bytes`],
    ["15 s (15000 ms)"],
    ["10 s (10000 ms)"],
  ])("says: %s", (words) => {
    expect(PROSE).toContain(words);
  });

  test("names every kind, and every refusal that is final", () => {
    for (const [name, code] of Object.entries(StreamKind)) {
      expect(PROSE).toContain(`${hex(code)} \`${name}\``);
    }
    for (const code of PERMANENT_CODES) expect(PROSE).toContain(`\`${code}\``);
    expect(PERMANENT_CODES.length).toBeGreaterThanOrEqual(5);
  });

  test("shows the exchange of the fixtures, byte for byte", () => {
    const example = /```text\n([\s\S]*?)```/.exec(SPEC)![1]!;
    const sides = { agent: [] as Uint8Array[], gateway: [] as Uint8Array[] };
    for (const block of example.trim().split("\n\n")) {
      const [title, ...lines] = block.split("\n");
      const bytes = lines.map((line) => parseHex(/^(?:[0-9a-f]{2}(?: |$))+/.exec(line)![0]));
      const who = /^(agent|gateway|each):/.exec(title!)![1]!;
      if (who !== "gateway") sides.agent.push(...bytes);
      if (who !== "agent") sides.gateway.push(...bytes);
    }
    expect([...concat(sides.agent)]).toEqual([...readHex("exchange-agent")]);
    expect([...concat(sides.gateway)]).toEqual([...readHex("exchange-gateway")]);
  });
});
