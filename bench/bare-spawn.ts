import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { agentEnvironment, agents } from "../lib/agents/index.ts";
import { runPaths, turnPaths } from "../lib/runs/paths.ts";
import { stream } from "./stand-in.ts";

/** How the server called the agent in some run: what a bare spawn repeats. */
export interface Invocation {
  executable: string;
  args: string[];
  prompt: string;
  cwd: string;
  env: Record<string, string>;
}

export interface RunPlace {
  dataDir: string;
  npmPrefix: string;
  /** The server's own environment. */
  environment: Readonly<Record<string, string | undefined>>;
}

/** Reads from an ended run's own files how its agent was called. */
export function invocationOf(runId: string, { dataDir, npmPrefix, environment }: RunPlace): Invocation {
  const [agent] = agents;
  if (!agent) throw new Error("there is no agent");
  const paths = runPaths(dataDir, runId);
  const turn = turnPaths(paths, 1);
  const { args }: { args: string[] } = JSON.parse(readFileSync(turn.meta, "utf8"));
  return {
    executable: join(npmPrefix, "bin", agent.binary),
    args,
    prompt: readFileSync(turn.prompt, "utf8"),
    cwd: paths.workspace,
    env: agentEnvironment(agent, {
      server: environment,
      npmPrefix,
      runId,
      temporaryFolder: paths.temporary,
      extra: {},
    }),
  };
}

/** Spawns a program, hands it its prompt and reads its output to the end: the least any server would have to do. */
export function spawnBare({ executable, args, prompt, cwd, env }: Invocation): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(executable, args, { cwd, env, detached: true });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
    child.stderr.resume();
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0 && output === stream) resolve();
      else reject(new Error(`the stand-in ended with ${code} and printed ${JSON.stringify(output)}`));
    });
    child.stdin.end(prompt);
  });
}
