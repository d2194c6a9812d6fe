import { access, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import type { Agent } from "./agent.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether somebody has logged in, or a key is set. A wrong key counts too: only a run can tell. */
export async function authReady(agent: Agent, environment: Environment): Promise<boolean> {
  if (agent.keyVariables.some((name) => (environment[name] ?? "") !== "")) return true;
  const found = Object.values(await credentialFiles(agent, environment));
  return agent.credentialRule === "any" ? found.some(Boolean) : found.length > 0 && found.every(Boolean);
}

/** Which of an agent's credential files exist (and hold a login), by their path below HOME. */
export async function credentialFiles(
  agent: Agent,
  environment: Environment,
): Promise<Record<string, boolean>> {
  const exists = async (file: string) => {
    const path = pathOf(agent, file, environment);
    const mark = agent.credentialMarks?.[file];
    try {
      if (mark !== undefined) return mark.test(await readFile(path, "utf8"));
      await access(path);
      return true;
    } catch {
      return false;
    }
  };
  return Object.fromEntries(
    await Promise.all(agent.credentialFiles.map(async (file) => [file, await exists(file)] as const)),
  );
}

/** Variables every agent sees that move what lies in these folders below HOME. */
const userFolders = [
  ["XDG_CONFIG_HOME", ".config/"],
  ["XDG_DATA_HOME", ".local/share/"],
] as const;

/** The absolute path of a file or folder below HOME, where no variable that the agent sees moves it elsewhere. */
export function pathOf(
  agent: Pick<Agent, "homes" | "configVariable">,
  path: string,
  environment: Environment,
): string {
  const [main] = agent.homes;
  const moved = agent.configVariable === null ? undefined : environment[agent.configVariable];
  if (main !== undefined && moved && `${path}/`.startsWith(`${main.home}/`))
    return join(moved, path.slice(main.home.length));
  const [variable, folder] = userFolders.find(([, folder]) => path.startsWith(folder)) ?? [];
  const base = variable === undefined ? undefined : environment[variable];
  // A relative one does not count, as the XDG Base Directory Specification has it.
  if (folder !== undefined && base !== undefined && isAbsolute(base)) {
    return join(base, path.slice(folder.length));
  }
  return join(environment.HOME ?? homedir(), path);
}
