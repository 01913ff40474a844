/**
 * A program of the commands of netwall-gateway alone, for tests that need a process: signals, pipes.
 *
 * @module
 */
import { runAsMain, runProgram } from "../../lib/cli/program.ts";
import { COMMANDS, explainGatewayError, GATEWAY_PROGRAM } from "../../lib/gateway/program.ts";

runAsMain(import.meta.main, (argv) =>
  runProgram({
    program: GATEWAY_PROGRAM,
    version: "0 (test)",
    argv,
    commands: COMMANDS,
    explain: explainGatewayError,
  }));
