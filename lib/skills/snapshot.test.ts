import { execFile } from "node:child_process";
import { chmod, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import {
  packageFiles,
  skillOf,
  skillText,
  skillWith,
  temporaryFolder,
  writeFiles,
} from "./fixtures.test-support.ts";
import { snapshotSkill } from "./snapshot.ts";

const auto = { mode: "auto", artifactsDir: "artifacts" } as const;

it("adds the rules of the run below the skill's own text", async () => {
  const output = {
    type: "object",
    properties: {
      title: { type: "string" },
      report: { type: "string", "x-type": "artifact", "x-role": "report" },
      all: { type: "string", "x-type": "artifact-manifest", "x-role": "files" },
    },
  };
  const skill = await skillWith({ output });
  const target = join(await temporaryFolder(), "deep/skills/demo");
  await snapshotSkill(skill, target, auto);
  const text = await readFile(join(target, "SKILL.md"), "utf8");
  expect(text.startsWith(skillText("demo").trimEnd())).toBe(true);
  expect(text).toContain("Work only in the current folder");
  expect(text).toContain("exactly one JSON object");
  expect(text).toContain(`\`\`\`json\n${JSON.stringify(output, null, 2)}\n\`\`\``);
  expect(text).toContain("- `report` (report): path of the file.");
  expect(text).toContain("- `all` (files): path of a JSON file");
  expect(text).toContain("Do not ask questions");
});

it("tells an interactive run how to ask", async () => {
  const target = await temporaryFolder();
  await snapshotSkill(await skillWith({}), target, { ...auto, mode: "interactive" });
  const text = await readFile(join(target, "SKILL.md"), "utf8");
  expect(text).toContain('"__SKILL_DONE__": false');
  expect(text).not.toContain("Do not ask questions");
});

it("asks no JSON of a plain skill", async () => {
  const target = await temporaryFolder();
  await snapshotSkill(await skillOf("poet", { "SKILL.md": skillText("poet") }), target, auto);
  const text = await readFile(join(target, "SKILL.md"), "utf8");
  expect(text).toContain("Answer in plain text");
  expect(text).toContain("artifacts/");
  expect(text).not.toContain("JSON");
});

it("copies files with their executable bit, writable, without .git, in place of what was there", async () => {
  const skill = await skillOf(
    "demo",
    packageFiles("demo", { "scripts/go.sh": "#!/bin/sh\necho ran", ".git/HEAD": "" }),
  );
  await chmod(join(skill.dir, "scripts/go.sh"), 0o555);
  const target = join(await temporaryFolder(), "demo");
  await writeFiles(target, { "stale.txt": "" });
  await snapshotSkill(skill, target, auto);
  expect((await readdir(target)).sort()).toEqual(["SKILL.md", "assets", "scripts"]);
  expect((await stat(join(target, "scripts/go.sh"))).mode & 0o777).toBe(0o755);
  expect((await promisify(execFile)(join(target, "scripts/go.sh"))).stdout).toBe("ran\n");
});

it("says that a package that went away cannot be used", async () => {
  const skill = await skillOf("demo", packageFiles("demo"));
  await rm(skill.dir, { recursive: true });
  const copying = snapshotSkill(skill, join(await temporaryFolder(), "demo"), auto);
  await expect(copying).rejects.toMatchObject({ code: "SKILL_INVALID" });
});
