import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { askCli } from "./ask-cli.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ask-cli-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function ask(script: string, timeoutMs = 20_000) {
  const path = join(folder, "cli");
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  const started = performance.now();
  const answer = await askCli(path, [], {
    env: { PATH: process.env.PATH },
    cwd: folder,
    timeoutMs,
    maxBuffer: 1024,
  });
  return { ...answer, took: performance.now() - started };
}

test("gives what was printed and how it ended", async () => {
  expect(await ask("echo out; echo err >&2; exit 3")).toMatchObject({
    stdout: "out",
    stderr: "err",
    failed: true,
    exitCode: 3,
  });
});

test.each([
  ["a command that never ends", "sleep 60"],
  ["a child of it that holds its pipes", "sleep 60\necho"],
  ["a child that left its process group and holds its pipes", "setsid sleep 60 & echo out"],
])("%s is waited for no longer than the time given", async (_what, script) => {
  const answer = await ask(script, 300);
  expect(answer.took).toBeLessThan(3_000);
});

test("a command that is not there has failed", async () => {
  const answer = await askCli(join(folder, "none"), [], {
    env: {},
    cwd: folder,
    timeoutMs: 1_000,
    maxBuffer: 10,
  });
  expect(answer).toMatchObject({ failed: true, exitCode: undefined });
});
