import { readFileSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { askCli } from "./ask-cli.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ask-cli-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function ask(script: string, timeoutMs = 20_000, signal?: AbortSignal) {
  const path = join(folder, "cli");
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  const started = performance.now();
  const answer = await askCli(path, [], {
    env: { PATH: process.env.PATH },
    cwd: folder,
    timeoutMs,
    maxBuffer: 1024,
    ...(signal === undefined ? {} : { signal }),
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

test("a signal ends it with all that it started, also one that came before", async () => {
  const stop = new AbortController();
  const asked = ask(`sleep 60 & echo $! > ${join(folder, "child")}; wait`, 20_000, stop.signal);
  const child = await vi.waitFor(
    async () => {
      const pid = Number(await readFile(join(folder, "child"), "utf8"));
      expect(pid).toBeGreaterThan(0);
      return pid;
    },
    { timeout: 10_000 },
  );
  stop.abort();
  expect(await asked).toMatchObject({ failed: true, signal: "SIGKILL" });
  await vi.waitFor(() => expect(isRunning(child)).toBe(false), { timeout: 5_000 });
  expect(await ask("sleep 60", 20_000, stop.signal)).toMatchObject({ failed: true });
});

/** A child whose parent is gone may wait for init to ask for it. */
function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("a command that is not there has failed", async () => {
  const answer = await askCli(join(folder, "none"), [], {
    env: {},
    cwd: folder,
    timeoutMs: 1_000,
    maxBuffer: 10,
  });
  expect(answer).toMatchObject({ failed: true, exitCode: undefined });
});
