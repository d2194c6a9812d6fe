import { readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Agent } from "../agent.ts";
import { pathOf } from "../credentials.ts";
import { temporaryPrefix } from "./replace-together.ts";

/**
 * Removes what imports left beside the credential files that a crash cut off: whole logins, readable by the owner alone.
 * Never rejects.
 * @param environment the server's
 */
export async function dropImportLeftovers(
  agents: readonly Agent[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const files = agents.flatMap((agent) =>
    agent.credentialFiles.map((file) => pathOf(agent, file, environment)),
  );
  const folders = [...new Set(files.map((file) => dirname(file)))];
  await Promise.all(
    folders.map(async (folder) => {
      const names = await readdir(folder).catch(() => []);
      const left = names.filter((name) => name.startsWith(temporaryPrefix));
      await Promise.all(left.map((name) => rm(join(folder, name), { force: true }).catch(() => undefined)));
    }),
  );
}
