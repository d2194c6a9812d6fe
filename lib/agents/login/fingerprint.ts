import { stat } from "node:fs/promises";
import type { Agent } from "../agent.ts";
import { pathOf } from "../credentials.ts";

/**
 * Another text whenever one of the agent's credential files was written, replaced, removed, or appeared: what a poll
 * compares. Links are followed, for the file behind them is the one that is written. Never rejects.
 * @param environment the server's
 */
export async function credentialsFingerprint(
  agent: Agent,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const marks = agent.credentialFiles.map(async (file) => {
    const info = await stat(pathOf(agent, file, environment), { bigint: true }).catch(() => null);
    // Two writes within a millisecond are seen too: the times are in nanoseconds.
    return info === null ? "-" : [info.dev, info.ino, info.size, info.mtimeNs, info.ctimeNs].join(":");
  });
  return (await Promise.all(marks)).join(" ");
}
