import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ulid } from "ulid";
import { extractZip } from "../../lib/archives/index.ts";
import { createKeyedLock } from "../../lib/runs/keyed-lock.ts";
import { createSkillRegistry } from "../../lib/skills/index.ts";
import {
  createSkillInstalls,
  type SkillInstalls,
  type SkillInstallsOptions,
} from "../../lib/skills/install/index.ts";
import { createRecordStore, fsDriver, syncFiles } from "../../lib/storage/index.ts";

const limits = { maxEntries: 100, maxEntryBytes: 1_000_000, maxTotalBytes: 10_000_000, maxRatio: 200 };

/** The skill installs of a server whose folders lie in `folder`, wired as runtime/services.ts does. */
export function openInstalls(folder: string, changes: Partial<SkillInstallsOptions> = {}) {
  const errors: unknown[] = [];
  const root = join(folder, "skills");
  const registry = createSkillRegistry({ root, engines: ["codex"] });
  const installs = createSkillInstalls({
    root,
    requestsDir: join(folder, "requests"),
    engines: ["codex"],
    records: createRecordStore(fsDriver({ base: join(folder, "state") })),
    extract: (zip, dir) => extractZip(zip, dir, limits, { keepExecutable: true }),
    sync: syncFiles,
    locked: createKeyedLock(),
    onPlaced: (id) => registry.get(id),
    newId: ulid,
    onError: (error) => errors.push(error),
    ...changes,
  });
  return { root, registry, installs, errors };
}

/** Waits for the end of an install. */
export async function settled(installs: SkillInstalls, id: string) {
  for (;;) {
    const install = await installs.get(id);
    if (install.status === "succeeded" || install.status === "failed") return install;
    await sleep(5);
  }
}
