import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { describeSkillInFull } from "./describe.ts";
import { temporaryFolder } from "./fixtures.test-support.ts";
import { createSkillRegistry } from "./registry.ts";
import { createSchemaValidator } from "./schema-validator.ts";
import { toStrictSchema } from "./strict-schema.ts";

const root = fileURLToPath(new URL("../../skills", import.meta.url));
const bundled = ["contract-check", "csv-profile", "haiku", "packing-list", "report-from-file", "text-stats"];

it("every skill that comes with the server is without fault and runs on codex", async () => {
  const skills = await createSkillRegistry({ root, engines: ["codex"] }).list();
  expect(skills.map((skill) => skill.id)).toEqual(expect.arrayContaining(bundled));
  for (const skill of skills) {
    const { errors, warnings, manifest } = skill;
    expect({ id: skill.id, errors, warnings }).toEqual({ id: skill.id, errors: [], warnings: [] });
    expect(manifest.effective_engines).toEqual(["codex"]);
    expect(JSON.stringify(describeSkillInFull(skill))).not.toContain(root);
    if (skill.schemas.output) expect(toStrictSchema(skill.schemas.output), skill.id).not.toBeNull();
  }
});

it("contract-check's first answer passes native structured output and breaks the schema", async () => {
  const skill = await createSkillRegistry({ root, engines: ["codex"] }).get("contract-check");
  const { output } = skill.schemas;
  const strict = output && toStrictSchema(output);
  const first = { status: "broken", checks: 3 };
  expect(strict && createSchemaValidator(strict)(first)).toEqual([]);
  expect(output && createSchemaValidator(output)(first)).toHaveLength(3);
  expect(output && createSchemaValidator(output)({ status: "ok", checks: 2 })).toEqual([]);
});

it("csv-profile's script counts, and writes both files", async () => {
  const folder = await temporaryFolder();
  const table = join(folder, "t.csv");
  await writeFile(table, "id;name;n\n1;a;2\n2;;x\n2;;x\n3;b\n");
  const script = join(root, "csv-profile/scripts/profile.py");
  const { stdout } = await promisify(execFile)("python3", [script, table, "--out", join(folder, "out")]);
  expect(stdout).toBe("4 rows, 3 columns\n");
  expect(JSON.parse(await readFile(join(folder, "out/profile.json"), "utf8"))).toMatchObject({
    rows: 4,
    duplicate_rows: 1,
    rows_of_other_length: 1,
    columns: [
      { name: "id", type: "number", min: 1, max: 3, distinct: 3 },
      { name: "name", type: "text", empty: 2 },
      { name: "n", type: "mixed", empty: 1 },
    ],
  });
  expect(await readFile(join(folder, "out/profile.md"), "utf8")).toContain("| id | number |");
});
