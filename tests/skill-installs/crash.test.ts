import { spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageFiles } from "../../lib/skills/fixtures.test-support.ts";
import { executable, packageZip } from "../package-zip.ts";
import { openInstalls, settled } from "./installs.ts";

let home: string;
let child: string;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "installs-"));
  child = join(home, "child.mjs");
  await build({
    entryPoints: [join(import.meta.dirname, "child.ts")],
    outfile: child,
    bundle: true,
    platform: "node",
    format: "esm",
    // What is bundled loads in half the time, and there are hundreds of processes; some packages are CommonJS.
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
  });
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

const id = "demo";
const version = (number: string) =>
  packageFiles(id, { "scripts/run.sh": `# ${number}\n` }, { version: number });
const zip = packageZip(id, {
  ...version("1.10"),
  "scripts/run.sh": executable("# 1.10\n"),
  ".git/HEAD": "x",
});

const before: Record<string, Record<string, unknown> | null> = {
  "a new skill": null,
  "a greater version": version("1.9"),
  "a working skill in the place of a broken one": { ...version("1.9"), "assets/runner.json": "{" },
  "a version that is not greater": version("2"),
};

test.each(Object.entries(before))(
  "%s: a crash at any point loses nothing",
  { timeout: 180_000 },
  async (name, old) => {
    const start = join(home, "start", name);
    if (old !== null) write(join(start, "skills", id), old);
    mkdirSync(start, { recursive: true });
    const oldTree = treeOf(join(start, "skills", id));
    const newTree = await treeAfterInstall();
    const seen = { succeeded: 0, failed: 0, absent: 0 };
    let gap = 0;

    const crashes = await everyCrash(async (dieAt) => {
      const folder = join(home, `${name}-${dieAt}`);
      cpSync(start, folder, { recursive: true });
      const died = await run(folder, dieAt, writeZip(folder));
      if (died.isKilled && old !== null && !existsSync(join(folder, "skills", id))) gap ||= dieAt;
      seen[await recoverAndCheck(folder, died.output, oldTree, newTree)] += 1;
      return died.isKilled;
    });

    expect(crashes).toBeGreaterThan(20);
    // Before the request was stored; while it was carried out; once it was about to be put in place.
    expect(seen.absent).toBeGreaterThan(0);
    expect(seen.failed).toBeGreaterThan(0);
    if (name.includes("not greater")) expect(seen.succeeded).toBe(0);
    else expect(seen.succeeded).toBeGreaterThan(0);
    // Where one folder takes the place of another there is a moment with none: it must have been hit, and mended.
    if (old === null || name.includes("not greater")) return expect(gap).toBe(0);
    expect(gap).toBeGreaterThan(0);

    // The same again for the start after that crash, at any point of it.
    const secondCrashes = await everyCrash(async (dieAt) => {
      const folder = join(home, `${name}-again-${dieAt}`);
      cpSync(start, folder, { recursive: true });
      const { output } = await run(folder, gap, writeZip(folder));
      const { isKilled } = await run(folder, dieAt);
      expect(await recoverAndCheck(folder, output, oldTree, newTree)).toBe("succeeded");
      return isKilled;
    });
    expect(secondCrashes).toBeGreaterThan(3);
  },
);

/** Starts as a server does after the crash, and checks all that a user can see. */
async function recoverAndCheck(folder: string, accepted: string, oldTree: Tree, newTree: Tree) {
  const { root, registry, installs, errors } = openInstalls(folder);
  await installs.recover();
  const ids = existsSync(join(folder, "state/skill_installs"))
    ? readdirSync(join(folder, "state/skill_installs")).filter((file) => !file.startsWith("."))
    : [];
  // What the caller was told of is there.
  if (accepted !== "") expect(ids).toEqual([accepted]);
  const [requestId] = ids;
  const end = requestId === undefined ? null : await settled(installs, requestId);
  await installs.stop();

  const inPlace = treeOf(join(root, id));
  expect(inPlace).toEqual(end?.status === "succeeded" ? newTree : oldTree);
  if (inPlace !== null) expect((await registry.get(id)).dir).toBe(join(root, id));
  if (end?.status === "failed") {
    expect(end.error?.code).toMatch(/^(ORCHESTRATOR_RESTART_INTERRUPTED|SKILL_VERSION_NOT_GREATER)$/);
  }
  // What was there before is whole, in the one place where it belongs.
  const aside = [".archive/demo", ".invalid"].flatMap((place) => {
    const parent = join(root, place);
    return existsSync(parent) ? readdirSync(parent).map((entry) => treeOf(join(parent, entry))) : [];
  });
  expect(aside).toEqual(end?.status === "succeeded" && oldTree !== null ? [oldTree] : []);
  const left = [join(root, ".staging"), join(folder, "requests")].flatMap((place) =>
    existsSync(place) ? readdirSync(place) : [],
  );
  expect(left).toEqual([]);
  expect(errors).toEqual([]);
  rmSync(folder, { recursive: true, force: true });
  return end?.status === "succeeded" ? "succeeded" : end === null ? "absent" : "failed";
}

/** Tries 1, 2, 3 ... two at a time, until a process lives to its end. @returns how many were killed */
async function everyCrash(attempt: (dieAt: number) => Promise<boolean>): Promise<number> {
  for (let dieAt = 1; ; dieAt += 2) {
    const killed = (await Promise.all([attempt(dieAt), attempt(dieAt + 1)])).filter(Boolean).length;
    if (killed < 2) return dieAt - 1 + killed;
  }
}

function run(
  folder: string,
  dieAt: number,
  ...args: string[]
): Promise<{ isKilled: boolean; output: string }> {
  const started = spawn(process.execPath, [child, folder, ...args], {
    env: { PATH: process.env.PATH, DIE_AT: String(dieAt) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  started.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    started.once("error", reject);
    started.once("close", (code, signal) => {
      if (code === 0 || signal === "SIGKILL") resolve({ isKilled: signal === "SIGKILL", output });
      else reject(new Error(`the installing process ended with ${code ?? signal}`));
    });
  });
}

async function treeAfterInstall(): Promise<Tree> {
  const folder = join(home, "whole");
  mkdirSync(folder, { recursive: true });
  const { root, installs } = openInstalls(folder);
  const { request_id: requestId } = await installs.install(writeZip(folder));
  expect(await settled(installs, requestId)).toMatchObject({ status: "succeeded", action: "install" });
  await installs.stop();
  const tree = treeOf(join(root, id));
  rmSync(folder, { recursive: true, force: true });
  return tree;
}

function writeZip(folder: string): string {
  const path = join(folder, "received.zip");
  writeFileSync(path, zip);
  return path;
}

function write(folder: string, files: Readonly<Record<string, unknown>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), typeof content === "string" ? content : JSON.stringify(content));
  }
}

type Tree = Record<string, string> | null;

/** Every file with its mode and content; null when there is no such folder. */
function treeOf(folder: string): Tree {
  if (!existsSync(folder)) return null;
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  return Object.fromEntries(
    files.map((file) => {
      const info = statSync(join(folder, file));
      return [
        file,
        info.isFile()
          ? `${(info.mode & 0o777).toString(8)} ${readFileSync(join(folder, file), "utf8")}`
          : "folder",
      ];
    }),
  );
}
