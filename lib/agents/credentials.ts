import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Agent } from "./agent.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether somebody has logged in, or a key is set. A wrong key counts too: only a run can tell. */
export async function authReady(agent: Agent, environment: Environment): Promise<boolean> {
  if (agent.keyVariables.some((name) => (environment[name] ?? "") !== "")) return true;
  const found = Object.values(await credentialFiles(agent, environment));
  return agent.credentialRule === "any" ? found.some(Boolean) : found.length > 0 && found.every(Boolean);
}

/** Which of an agent's credential files exist, by their path below HOME. */
export async function credentialFiles(
  agent: Agent,
  environment: Environment,
): Promise<Record<string, boolean>> {
  const exists = (file: string) =>
    access(pathOf(agent, file, environment)).then(
      () => true,
      () => false,
    );
  return Object.fromEntries(
    await Promise.all(agent.credentialFiles.map(async (file) => [file, await exists(file)] as const)),
  );
}

/** The absolute path of a file or folder below HOME, where the agent's own variable has not moved it elsewhere. */
export function pathOf(agent: Agent, path: string, environment: Environment): string {
  const [main] = agent.homes;
  const moved = agent.configVariable === null ? undefined : environment[agent.configVariable];
  if (main !== undefined && moved !== undefined && `${path}/`.startsWith(`${main.home}/`))
    return join(moved, path.slice(main.home.length));
  return join(environment.HOME ?? homedir(), path);
}
