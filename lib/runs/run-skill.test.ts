import { lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
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

test("what an agent of an earlier attempt left leads neither the skill nor the artifacts elsewhere", async () => {
  const folder = await mkdtemp(join(tmpdir(), "run-skill-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [root, victim] = [join(folder, "skills"), join(folder, "victim")];
  await mkdir(join(root, "s"), { recursive: true });
  await writeFile(join(root, "s/SKILL.md"), "---\nname: s\ndescription: A skill.\n---\nAnswer.\n");
  await mkdir(join(victim, "s"), { recursive: true });
  await writeFile(join(victim, "s/SKILL.md"), "theirs");
  const skills = createSkillRegistry({ root, engines: ["codex"] });
  const run = recordOf("running");
  const paths = runPaths(folder, run.request_id);
  const { skillsFolder } = codex;
  // At each place on the way: the last one is the skill's own.
  const way = `${skillsFolder}/s`.split("/");
  const places = way.map((_, index) => way.slice(0, index + 1).join("/"));
  for (const place of [...places, "artifacts"]) {
    await rm(paths.workspace, { recursive: true, force: true });
    await mkdir(dirname(join(paths.workspace, place)), { recursive: true });
    const target = { [skillsFolder]: victim, [`${skillsFolder}/s`]: join(victim, "s") }[place] ?? victim;
    await symlink(target, join(paths.workspace, place));
    await layOut({ skills, locked: createKeyedLock(), engines: { ids: ["codex"] } }, run, paths, codex);
    expect([place, await readFile(join(victim, "s/SKILL.md"), "utf8")]).toEqual([place, "theirs"]);
    expect([place, await readdir(victim, { recursive: true })]).toEqual([place, ["s", "s/SKILL.md"]]);
    const copied = await readFile(join(paths.workspace, skillsFolder, "s/SKILL.md"), "utf8");
    expect(copied).toContain("Answer.");
    expect(await readdir(paths.artifacts)).toEqual([]);
    expect((await lstat(paths.artifacts)).isDirectory()).toBe(true);
  }
});
