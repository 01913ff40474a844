/**
 * The command `netwall-gateway page`, as its help shows it.
 *
 * @module
 */
import { print } from "../admin/print.ts";
import { makePageLink } from "../admin/page_command.ts";
import type { CommandSpec } from "../cli/arguments.ts";
import { EXIT, type ExitCode } from "../cli/exit.ts";
import { pageConfig } from "../config/page_config.ts";
import type { FlagValues } from "../settings.ts";
import { clientOf, type Load } from "./firewall_commands.ts";

export const PAGE_COMMAND_SPEC: CommandSpec = {
  name: "page",
  summary: "Print a link that opens the page of a running gateway once, within ten minutes",
  options: pageConfig,
  examples: ["netwall-gateway page", "netwall-gateway page --role viewer"],
};

/** The command. The link, alone, goes to standard output. */
export function pageCommand(load: Load): (flags: FlagValues) => Promise<ExitCode> {
  return async (flags) => {
    const { admin, adminTokenFile, data, role } = load(pageConfig, flags);
    const { text } = await makePageLink(clientOf({ admin, adminTokenFile, data }), admin, role);
    await print(text);
    return EXIT.stopped;
  };
}
