import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createSkillRegistry, type Skill } from "../skills/index.ts";
import { withPythonRuntime } from "./python-runtime.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "uv-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const agent = { executable: "/bin/agent", args: ["exec", "-"] };
const inPlace = async <T>(process: T) => process;

async function wrap(dependencies: string[], uv?: string, signal = new AbortController().signal) {
  if (uv !== undefined) {
    await writeFile(join(folder, "uv"), `#!/bin/sh\necho "$@" >> ${folder}/calls\n${uv}\n`);
    await chmod(join(folder, "uv"), 0o755);
  }
  const bundled = join(import.meta.dirname, "../../skills");
  const base = await createSkillRegistry({ root: bundled, engines: ["codex"] }).get("csv-profile");
  const runtime = { language: "python", version: "3.11", dependencies, default_options: {} };
  const skill: Skill = { ...base, manifest: { ...base.manifest, runtime } };
  const context = { cwd: folder, signal, within: inPlace };
  return withPythonRuntime(skill, { ...agent, env: { PATH: `${folder}:/usr/bin:/bin` } }, context);
}

test("a skill without Python dependencies is left alone, and uv is not asked", async () => {
  expect(await wrap([], "exit 0")).toEqual({ ...agent, warning: null });
  await expect(readFile(join(folder, "calls"))).rejects.toThrow();
});

test("with uv, the agent runs where the dependencies are", async () => {
  const wrapped = await wrap(["pandas", "rich>=13"], "exit 0");
  expect(wrapped.warning).toBeNull();
  expect(wrapped.executable).toBe(join(folder, "uv"));
  expect(wrapped.args.join(" ")).toBe(
    "run --no-project --python 3.11 --with pandas --with rich>=13 -- /bin/agent exec -",
  );
});

test("dependencies that uv cannot provide are a warning, and the agent runs without", async () => {
  const wrapped = await wrap(["no-such-package"], "echo 'no solution found' >&2; exit 1");
  expect(wrapped).toMatchObject({ ...agent, warning: expect.stringContaining("no solution found") });
});

test("no uv at all is a warning too", async () => {
  expect(await wrap(["pandas"])).toMatchObject({
    ...agent,
    warning: expect.stringContaining("uv is not installed"),
  });
});

test("what is built for the dependencies has no terminal of the server's, and ends with the run", async () => {
  const stop = new AbortController();
  const probe = wrap(
    ["pandas"],
    `cat /proc/$$/stat > ${folder}/stat.part; mv ${folder}/stat.part ${folder}/stat; sleep 60`,
    stop.signal,
  );
  await expect.poll(() => existsSync(join(folder, "stat")), { timeout: 10_000 }).toBe(true);
  // Behind its name: state, parent, group, session.
  const stat = await readFile(join(folder, "stat"), "utf8");
  const [group, session] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(2);
  expect([group, session]).toEqual([stat.split(" ")[0], stat.split(" ")[0]]);
  stop.abort();
  expect((await probe).warning).toContain("uv could not provide");
});
