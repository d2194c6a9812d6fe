import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { codex } from "../agents/codex/index.ts";
import { createSkillRegistry, type SkillRegistry, skillLock } from "../skills/index.ts";
import { createKeyedLock } from "./keyed-lock.ts";
import { runPaths } from "./paths.ts";
import { recordOf } from "./record.test-support.ts";
import { layOut } from "./run-skill.ts";

test("a skill that is replaced while a job begins is copied as the job saw it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "run-skill-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const root = join(folder, "skills");
  const writeVersion = async (at: string, version: string) => {
    await mkdir(join(at, "assets"), { recursive: true });
    await writeFile(join(at, "SKILL.md"), "---\nname: s\ndescription: A skill.\n---\nAnswer.\n");
    await writeFile(
      join(at, "assets/runner.json"),
      JSON.stringify({ id: "s", version, execution_modes: ["auto"] }),
    );
    await writeFile(join(at, "assets/output.schema.json"), JSON.stringify({ type: "object" }));
    await writeFile(join(at, "version.txt"), version);
  };
  await writeVersion(join(root, "s"), "1.0.0");
  await writeVersion(join(folder, "next"), "2.0.0");

  const locked = createKeyedLock();
  const registry = createSkillRegistry({ root, engines: ["codex"] });
  let installed: Promise<void> | undefined;
  const skills: SkillRegistry = {
    ...registry,
    async get(id, options) {
      const skill = await registry.get(id, options);
      installed ??= locked(skillLock(id), async () => {
        await rename(join(root, id), join(folder, "before"));
        await rename(join(folder, "next"), join(root, id));
      });
      // Whoever need not wait is done by then.
      await Promise.race([installed, sleep(200)]);
      return skill;
    },
  };
  const run = recordOf("running");
  const paths = runPaths(folder, run.request_id);
  const { skill } = await layOut({ skills, locked, engines: { ids: ["codex"] } }, run, paths, codex);

  const copied = await readFile(join(paths.workspace, codex.skillsFolder, "s/version.txt"), "utf8");
  expect({ seen: skill.manifest.version, copied }).toEqual({ seen: "1.0.0", copied: "1.0.0" });
  await installed;
  expect((await registry.get("s")).manifest.version).toBe("2.0.0");
});
