import { rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { anyOutput, packageFiles, skillText, temporaryFolder, writeFiles } from "./fixtures.test-support.ts";
import { createSkillRegistry } from "./registry.ts";

async function setUp(sweepIntervalMs = 0) {
  const root = await temporaryFolder();
  await writeFiles(join(root, "beta"), packageFiles("beta"));
  await writeFiles(join(root, "alpha"), { "SKILL.md": skillText("alpha") });
  const registry = createSkillRegistry({ root, engines: ["codex"], sweepIntervalMs });
  const ids = async () => (await registry.list()).map((skill) => skill.id);
  return { root, registry, ids };
}

describe("the registry", () => {
  it("lists skill folders by id, broken ones too, and nothing else", async () => {
    const { root, ids } = await setUp();
    await writeFiles(join(root, "gamma"), { "assets/runner.json": "{" });
    await writeFiles(join(root, "not a skill"), { "README.md": "" });
    await writeFiles(join(root, ".archive"), { "SKILL.md": "" });
    await writeFiles(root, { "SKILL.md": "" });
    expect(await ids()).toEqual(["alpha", "beta", "gamma"]);
  });

  it("lists a folder whose name cannot stand in a URL, with the reason", async () => {
    const { root, registry } = await setUp();
    await writeFiles(join(root, "my skill"), { "SKILL.md": skillText("my skill") });
    const skill = (await registry.list()).find(({ id }) => id === "my skill");
    expect(skill?.errors[0]?.message).toContain("folder name");
  });

  it("has no skills when the root is missing", async () => {
    const registry = createSkillRegistry({ root: "/nowhere/at/all", engines: ["codex"] });
    expect(await registry.list()).toEqual([]);
  });

  it.each(["nope", "", ".", "..", "../beta", "beta/", ".archive", "a\0b"])(
    "knows no skill %j",
    async (id) => {
      const { registry } = await setUp();
      await expect(registry.get(id)).rejects.toMatchObject({ code: "SKILL_NOT_FOUND" });
    },
  );

  it("gives the same array while nothing changes, also after a new look", async () => {
    const { root, registry } = await setUp();
    const first = await registry.list();
    expect(await registry.list()).toBe(first);
    const soon = new Date(Date.now() + 5000);
    await utimes(join(root, "beta/SKILL.md"), soon, soon);
    expect(await registry.list()).toBe(first);
    await sleep(80);
    expect(await registry.list()).toBe(first);
  });

  it("lets all callers share one look", async () => {
    const { registry } = await setUp(60_000);
    const lists = await Promise.all(Array.from({ length: 50 }, () => registry.list()));
    expect(new Set(lists).size).toBe(1);
    expect(lists[0]).toHaveLength(2);
  });

  it("looks no more often than asked, but get() always does", async () => {
    const { root, registry } = await setUp(60_000);
    const before = await registry.list();
    await writeFile(join(root, "alpha/SKILL.md"), `${skillText("alpha")}more`);
    expect(await registry.list()).toBe(before);
    expect((await registry.get("alpha")).instructions).toContain("more");
    await rm(join(root, "beta"), { recursive: true });
    await expect(registry.get("beta")).rejects.toMatchObject({ code: "SKILL_NOT_FOUND" });
  });
});

describe("hot update", () => {
  it("sees a changed, an added and a removed folder, and re-reads only what changed", async () => {
    const { root, registry, ids } = await setUp();
    const [alpha, beta] = await registry.list();
    await writeFile(join(root, "beta/SKILL.md"), `${skillText("beta")}new text`);
    const [sameAlpha, newBeta] = await registry.list();
    expect(sameAlpha).toBe(alpha);
    expect(newBeta?.instructions).toContain("new text");
    expect(newBeta?.hash).not.toBe(beta?.hash);
    await writeFiles(join(root, "gamma"), { "SKILL.md": skillText("gamma") });
    expect(await ids()).toEqual(["alpha", "beta", "gamma"]);
    await rename(join(root, "alpha"), join(root, ".archived"));
    expect(await ids()).toEqual(["beta", "gamma"]);
  });

  it("sees every one of many quick writes of the same length", async () => {
    const { root, registry } = await setUp();
    for (let round = 100; round < 150; round++) {
      await writeFile(join(root, "alpha/SKILL.md"), `${skillText("alpha")}${round}`);
      expect((await registry.get("alpha")).instructions).toContain(String(round));
    }
  });

  it("shows errors while a package is being copied, and none when it is there", async () => {
    const { root, registry } = await setUp();
    const folder = join(root, "slow");
    const errors = async () => (await registry.get("slow")).errors.map((issue) => issue.pointer);
    await writeFiles(folder, { "assets/runner.json": '{"id": "slow", "execution_' });
    expect(await errors()).toEqual(["SKILL.md", "assets/runner.json"]);
    await writeFiles(folder, { "assets/runner.json": { id: "slow", execution_modes: ["auto"] } });
    expect(await errors()).toEqual(["SKILL.md", "assets/output.schema.json"]);
    await writeFiles(folder, { "assets/output.schema.json": anyOutput, "SKILL.md": skillText("slow") });
    expect(await errors()).toEqual([]);
  });
});
