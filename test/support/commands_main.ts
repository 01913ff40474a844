/**
 * A program of the commands of netwall-gateway alone, for tests that need a process: signals, pipes.
 *
 * @module
 */
import { runAsMain, runProgram } from "../../lib/cli/program.ts";
import {
  explainGatewayError,
  FIREWALL_COMMANDS,
  GATEWAY_PROGRAM,
  TOKEN_COMMANDS,
} from "../../lib/gateway/program.ts";

runAsMain(import.meta.main, (argv) =>
  runProgram({
    program: GATEWAY_PROGRAM,
    version: "0 (test)",
    argv,
    commands: { ...TOKEN_COMMANDS, ...FIREWALL_COMMANDS },
    explain: explainGatewayError,
  }));
