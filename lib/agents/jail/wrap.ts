import { existsSync } from "node:fs";
import { jailArguments, kernelFiles, type Privileges, splitEnvironment } from "./arguments.ts";
import { homeOf } from "./hidden.ts";
import type { JailedAgent, JailedRun, JailHost } from "./host.ts";
import { layOutJail } from "./layout.ts";

/** A process as it is started. */
export interface Command {
  executable: string;
  args: string[];
  env: Record<string, string>;
}

export interface Wrapping {
  /** Absolute path of bwrap. */
  bubblewrap: string;
  privileges: Privileges;
  agent: JailedAgent;
  /** The CLI that the command starts in the end. */
  executable: string;
  run: JailedRun;
}

/** The command in a jail. */
export function wrap(
  host: JailHost,
  { bubblewrap, privileges, agent, executable, run }: Wrapping,
  command: Command,
): Command {
  const mounts = layOutJail(host, agent, executable, run);
  const { outside, inside } = splitEnvironment(command.env);
  const args = jailArguments({
    privileges,
    mounts,
    cwd: run.workspace,
    setEnvironment: { ...inside, ...homeInside(host, run, command) },
    kernelFiles: kernelFiles.filter((path) => existsSync(path)),
  });
  return { executable: bubblewrap, args: [...args, command.executable, ...command.args], env: outside };
}

/** HOME as it is inside, unless the job has one of its own. */
function homeInside({ environment }: JailHost, run: JailedRun, { env }: Command): Record<string, string> {
  if (env.HOME !== undefined && env.HOME !== environment.HOME) return {};
  const HOME = homeOf(environment) ?? run.home;
  return env.HOME === HOME ? {} : { HOME };
}
