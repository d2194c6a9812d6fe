import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

const refused = [
  ["lib/runs", "../../runtime/function.ts"],
  ["lib/agents", "../../functions/_shared/cursor.ts"],
  ["lib/runs", "hono"],
  ["lib/skills", "../runs/index.ts"],
  ["lib/skills/install", "../../archives/index.ts"],
  ["lib/agents", "../skills/index.ts"],
  ["lib/queue", "../storage/index.ts"],
  ["lib/runs", "../skills/registry.ts"],
  ["functions/v1", "../../runtime/services.ts"],
  ["functions/v1", "../../lib/runs/run-store.ts"],
  ["runtime", "../lib/runs/run-store.ts"],
] as const;

const allowed = [
  ["lib/runs", "../skills/index.ts"],
  ["lib/agents", "../errors.ts"],
  ["lib/skills/install", "../unpack.ts"],
  ["functions/v1", "../../runtime/function.ts"],
  ["functions/v1", "../../lib/runs/index.ts"],
  ["runtime", "../lib/runs/index.ts"],
] as const;

const fileOf = (folder: string, specifier: string) => `${folder}/${specifier.replaceAll(/\W+/g, "_")}.ts`;

/** Runs the project's lint rules once over a tree in which every one of these imports stands. */
let report = "";
let tree: string;
beforeAll(() => {
  tree = mkdtempSync(join(tmpdir(), "arrows-"));
  copyFileSync(join(root, "biome.json"), join(tree, "biome.json"));
  for (const [folder, specifier] of [...refused, ...allowed]) {
    const path = join(tree, fileOf(folder, specifier));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `import { x } from "${specifier}";\n\nconsole.log(x);\n`);
  }
  const biome = join(root, "node_modules/.bin/biome");
  const args = ["lint", "--only=style/noRestrictedImports", "--max-diagnostics=none", "."];
  const { stdout, stderr } = spawnSync(biome, args, {
    cwd: tree,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  report = stdout + stderr;
});
afterAll(() => rmSync(tree, { recursive: true, force: true }));

test.each(refused)("the lint rule refuses %s -> %s", (folder, specifier) => {
  expect(report).toMatch(new RegExp(`${fileOf(folder, specifier)}:1:\\d+ lint/style/noRestrictedImports`));
});

test.each(allowed)("and allows %s -> %s", (folder, specifier) => {
  expect(report).toContain("Checked ");
  expect(report).not.toContain(fileOf(folder, specifier));
});

test("every process is started in a session of its own, without the server's terminal", () => {
  const files = ["lib", "runtime", "functions"]
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map(
        (path) => `${folder}/${path}`,
      ),
    )
    .filter((path) => path.endsWith(".ts") && !/\.test(-support)?\.ts$/.test(path));
  const texts = new Map(files.map((path) => [path, readFileSync(join(root, path), "utf8")]));
  const having = (pattern: RegExp) => [...texts].filter(([, text]) => pattern.test(text));
  // By execa in one place, which says so; otherwise by spawn, each time with the option.
  expect(having(/["']execa["']/).map(([path]) => path)).toEqual(["lib/agents/start-process.ts"]);
  expect(texts.get("lib/agents/start-process.ts")).toContain("detached: true");
  const spawning = having(/\bspawn\(/);
  expect(spawning.length).toBeGreaterThan(0);
  for (const [path, text] of spawning)
    expect([path, text.match(/\bdetached: true\b/g)?.length]).toEqual([
      path,
      text.match(/\bspawn\(/g)?.length,
    ]);
  expect(having(/\b(spawnSync|execSync|execFile|execFileSync|fork)\(/)).toEqual([]);
});
