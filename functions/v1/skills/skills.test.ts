import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { agents } from "../../../lib/agents/index.ts";
import { type Harness, plainPackage, startHarness } from "../../../tests/harness.ts";
import getSkill from "./[skill_id].get.ts";
import listSkills from "./index.get.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
  await harness.writeSkill("broken", { ...plainPackage("broken"), "assets/output.schema.json": "{" });
  await harness.writeSkill("s", plainPackage("s"));
});
afterAll(() => harness.close());

const get = (skill_id: string) => harness.call(getSkill, { params: { skill_id } });

describe("GET /v1/skills", () => {
  test("lists every skill by id, and says of a broken one what is wrong", async () => {
    const { body } = await harness.call(listSkills);
    const ids = body.map((skill: { id: string }) => skill.id);
    expect(ids).toEqual([...ids].sort());
    expect(ids).toEqual(expect.arrayContaining(["broken", "csv-profile", "haiku", "report-from-file", "s"]));
    const broken = body.find((skill: { id: string }) => skill.id === "broken");
    expect(broken).toMatchObject({ runnable: false });
    expect(JSON.stringify(broken.errors)).toContain("output.schema.json");
    expect(JSON.stringify(body)).not.toContain(harness.folder);
  });
});

describe("GET /v1/skills/{skill_id}", () => {
  test("gives manifest, schemas and files", async () => {
    expect((await get("report-from-file")).body).toMatchObject({
      id: "report-from-file",
      kind: "package",
      runnable: true,
      errors: [],
      effective_engines: agents.map(({ id }) => id),
      schemas_resolved: { input: { required: ["source"] }, parameter: {}, output: {} },
      files: expect.arrayContaining(["SKILL.md", "assets/runner.json"]),
      package_hash: expect.stringMatching(/^\w+/),
    });
    expect((await get("haiku")).body).toMatchObject({ id: "haiku", kind: "plain", runnable: true });
  });

  test("sees a change of the folder at once, and its removal", async () => {
    const before = (await get("s")).body.package_hash;
    await harness.writeSkill("s", { "references/more.md": "more" });
    expect((await get("s")).body.package_hash).not.toBe(before);
    await rm(join(harness.folder, "skills", "s"), { recursive: true });
    expect(await get("s")).toMatchObject({ status: 404, body: { code: "SKILL_NOT_FOUND" } });
  });

  test.each(["none", "..", "../skills/haiku", ".hidden", "haiku/", "haiku\0", "HAIKU"])(
    "knows no %j",
    async (id) => {
      expect(await get(id)).toMatchObject({ status: 404, body: { code: "SKILL_NOT_FOUND" } });
    },
  );
});
