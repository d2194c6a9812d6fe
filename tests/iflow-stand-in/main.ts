/**
 * A STAND-IN for the iFlow CLI, which nobody can install any more: its vendor has withdrawn @iflow-ai/iflow-cli
 * from npm. It is no copy of it. It behaves, as far as this project drives it, as these documents say that iflow
 * 0.5.19 does:
 *
 * - the vendor's manual, https://platform.iflow.cn/en/cli: settings files, IFLOW_ variables, skills;
 * - the vendor's @iflow-ai/iflow-cli-sdk 0.1.2 on npm: the methods, updates and stop reasons of its ACP mode;
 * - issues 295, 368 and 398 of github.com/iflow-ai/iflow-cli: the execution info, and the form of a model's error;
 * - github.com/snowpeak008/FF-pane (docs/adapters/iflow.md, packages/adapters/fixtures/iflow): options, both output
 *   streams, the session file and the ACP wire, recorded from iflow 0.5.19;
 * - github.com/The-Sunder-islands/iflow-cli-ce: a model that cannot be asked ends a turn without words and with exit
 *   code 0; a session that is not known becomes a new one;
 * - github.com/chenhg5/cc-connect (agent/iflow) and github.com/leike0813/Skill-Runner (server/engines/iflow): what
 *   programs that drive iflow read from it.
 *
 * What it prints is real: it asks a real endpoint (chat completions at IFLOW_BASE_URL), runs real commands and keeps
 * its sessions in files. What is shortened: the waits before a call is tried again.
 */
import { help, parseOptions } from "./options.ts";
import { runTextMode } from "./text-mode.ts";

const version = "0.5.19-stand-in";

const options = readOptions();
if (options.version) console.log(version);
else if (options.help) process.stdout.write(help());
else if (options["experimental-acp"]) await (await import("./acp-mode.ts")).runAcpMode(options.model);
else process.exitCode = await runTextMode(options);

function readOptions() {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${help()}\n${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}
