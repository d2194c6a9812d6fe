import { access, constants, lstat, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Agent } from "../agent.ts";
import { pathOf } from "../credentials.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Why an agent cannot write its settings and logins where its CLI looks for them, or null. Names no host path. */
export async function configFolderError(agent: Agent, environment: Environment): Promise<string | null> {
  for (const { home } of agent.homes) {
    const reason = await whyNotWritable(pathOf(agent, home, environment));
    if (reason !== null) return `The folder ~/${home} cannot be written (${reason}).`;
  }
  return null;
}

/** Null when a folder can be written, or made where it is missing; else the system's code, or "not a folder". */
export async function whyNotWritable(folder: string): Promise<string | null> {
  try {
    const info = await stat(folder);
    if (!info.isDirectory()) return "not a folder";
    await access(folder, constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    const code = codeOf(error);
    if (code !== "ENOENT" || dirname(folder) === folder) return code;
    const isLink = (await lstat(folder).catch(() => null)) !== null;
    return isLink ? "a link to nowhere" : whyNotWritable(dirname(folder));
  }
}

/** The system's name for what went wrong. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
