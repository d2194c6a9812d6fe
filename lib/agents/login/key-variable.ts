import type { Agent } from "../agent.ts";

/**
 * The environment variable that an API key goes into for one run: the first of the agent's, or the one of the model's
 * provider for a CLI of many providers.
 * @param provider who serves the model, when the run says
 * @returns null when the agent takes no such key from its environment
 */
export function keyVariable(agent: Agent, provider: string | null = null): string | null {
  const ofProvider = provider === null ? undefined : agent.login?.keyVariable?.(provider);
  return ofProvider === undefined ? (agent.keyVariables[0] ?? null) : ofProvider;
}
