import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createTurnSummary } from "../agents/index.ts";
import { createSkillRegistry, createValidators } from "../skills/index.ts";
import { createCleaner } from "./cleaner.ts";
import { converge } from "./converge.ts";
import { runPaths } from "./paths.ts";

test("of files with the name of the skill's result file, no more than ten are looked into", async () => {
  const folder = await mkdtemp(join(tmpdir(), "converge-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const bundled = join(import.meta.dirname, "../../skills");
  const skill = await createSkillRegistry({ root: bundled, engines: ["codex"] }).get("text-stats");
  const paths = runPaths(folder, "01K0000000000000000000000A");
  const put = async (number: number, content: string) => {
    const at = join(paths.workspace, `n${number}`);
    await mkdir(at, { recursive: true });
    await writeFile(join(at, `${skill.id}.result.json`), content);
  };
  for (let number = 10; number < 21; number++) await put(number, "no JSON");
  const found = async () => {
    const said = {
      summary: { ...createTurnSummary().summary, finalText: "See the file." },
      cleaner: createCleaner([]),
    };
    return (await converge(skill, createValidators(), paths, said)).fromFile;
  };
  const answer = JSON.stringify({
    word_count: 1,
    sentence_count: 1,
    top_words: [],
    detected_language: "en",
    summary: "One.",
  });
  await put(20, answer);
  expect(await found()).toBeNull();
  await put(19, answer);
  expect(await found()).toBe(`n19/${skill.id}.result.json`);
});
