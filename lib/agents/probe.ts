import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename } from "node:path";
import { stripVTControlCharacters } from "node:util";
import type { Agent } from "./agent.ts";
import { askCli, type CliAnswer } from "./ask-cli.ts";
import type { Jail } from "./jail/index.ts";
import { makeProbeFolder } from "./probe-folders.ts";

/** What is asked of a CLI itself, without a model call and without any key. */

type Environment = Readonly<Record<string, string | undefined>>;

const probeTimeoutMs = 20_000;

/**
 * Lets CLIs of ours be asked in an empty HOME: some leave files there with every `--version`. What is found in PATH may be
 * a shim that needs the real one.
 */
export async function withOwnHome<T>(
  isOurs: boolean,
  environment: Environment,
  task: (environment: Environment) => Promise<T>,
): Promise<T> {
  const HOME = isOurs ? await makeProbeFolder().catch(() => null) : null;
  if (HOME === null) return task(environment);
  try {
    return await task({ ...environment, HOME });
  } finally {
    // A helper process of the CLI may still be writing there.
    await rm(HOME, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
  }
}

/** What `--version` of an executable prints: its first line, reduced to the number where it has one. */
export async function askVersion(
  path: string,
  environment: Environment,
): Promise<{ version: string | null; error: string | null; final: boolean }> {
  const answer = await ask(path, ["--version"], environment);
  const line = printable(answer.stdout.split("\n")[0] ?? "");
  const final = answer.exitCode !== undefined;
  if (!answer.failed && line !== "")
    return { version: /\d+\.\d+\.\d+[\w.+-]*/.exec(line)?.[0] ?? line, error: null, final };
  const how = answer.exitCode === undefined ? (answer.signal ?? "no exit") : `exit ${answer.exitCode}`;
  return { version: null, error: `${basename(path)} --version did not answer (${how})`, final };
}

/** Without colours and control characters, and no longer than a version can be. */
function printable(line: string): string {
  return stripVTControlCharacters(line)
    .replaceAll(/\p{Cc}/gu, "")
    .trim()
    .slice(0, 200);
}

/** Asks a CLI something that needs no key: a broken binary gets none. */
export function ask(
  path: string,
  args: string[],
  environment: Environment,
  extra: Environment = {},
): Promise<CliAnswer> {
  return askCli(path, args, {
    env: { PATH: environment.PATH, HOME: environment.HOME, ...extra },
    // What it might leave in its working folder is not left in the server's.
    cwd: tmpdir(),
    timeoutMs: probeTimeoutMs,
    maxBuffer: 64 * 1024,
  });
}

/** Asks where the agent's tools will run: with the user's own home and a temporary folder as each run has, in the jail if there is one. */
async function askWithin(
  jail: Jail | null,
  agent: Agent,
  path: string,
  args: string[],
  environment: Environment,
): Promise<CliAnswer> {
  const folder = await makeProbeFolder();
  const { configVariable } = agent;
  const moved = configVariable === null ? undefined : environment[configVariable];
  const places: Record<string, string> =
    configVariable === null || moved === undefined ? {} : { [configVariable]: moved };
  try {
    // codex keeps its own program beside its settings, and not in a home below the temporary folder.
    if (jail === null) return await ask(path, args, environment, { TMPDIR: folder, ...places });
    const env = { PATH: environment.PATH ?? "", ...places };
    const { command } = await jail.aroundQuestion(agent, folder, { executable: path, args, env });
    return await ask(command.executable, command.args, environment);
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
  }
}

/** The first spelling of the probe that ends well; a probe that was cut short says nothing for good. */
export async function trySandbox(
  agent: Agent,
  path: string,
  environment: Environment,
  jail: Jail | null,
): Promise<{ state: "works" | "fails" | "none"; final: boolean }> {
  const { sandboxProbes } = agent;
  if (sandboxProbes.length === 0) return { state: "none", final: true };
  let final = true;
  for (const args of sandboxProbes) {
    const answer = await askWithin(jail, agent, path, args, environment);
    if (!answer.failed) return { state: "works", final: true };
    final &&= answer.exitCode !== undefined;
  }
  return { state: "fails", final };
}
