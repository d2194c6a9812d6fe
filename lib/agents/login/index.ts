import type { Agent } from "../agent.ts";
import type { Installation } from "../installation.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface LoginMethod {
  method: "device_code" | "import_files" | "api_key" | "terminal";
  title: string;
  instructions: string;
  files?: { name: string; path: string; required: boolean }[];
  variables?: string[];
  command?: string;
}

export function loginMethods(
  _agent: Agent,
  _environment: Environment,
  _installation: Installation | null,
): LoginMethod[] {
  return [];
}

export async function importCredentials(
  _agent: Agent,
  _environment: Environment,
  _files: { name: string; path: string; bytes: number }[],
): Promise<string[]> {
  return [];
}

export async function credentialsFingerprint(_agent: Agent, _environment: Environment): Promise<string> {
  return "";
}

export function keyVariable(agent: Agent): string | null {
  return agent.keyVariables[0] ?? null;
}
