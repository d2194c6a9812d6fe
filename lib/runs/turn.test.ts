import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { codex } from "../agents/codex/index.ts";
import { type Agent, trackingVariable } from "../agents/index.ts";
import { turnOf } from "../agents/recorded.test-support.ts";
import { runTurn, type TurnOptions } from "./turn.ts";
import { createUsageSampler } from "./usage-sampler.ts";

/** A turn of a program that does nothing, with its logs in a folder. */
function turnIn(folder: string, options: Partial<TurnOptions>) {
  return runTurn({
    agent: codex,
    request: turnOf(),
    process: { executable: "/bin/true", args: [], env: {} },
    isJailed: false,
    files: {},
    prompt: "",
    cwd: folder,
    runId: `turn-test-${process.pid}`,
    sandboxed: false,
    logs: { prompt: join(folder, "prompt"), stdout: join(folder, "out"), stderr: join(folder, "err") },
    signal: new AbortController().signal,
    graces: { termMs: 100, killMs: 100 },
    sampler: createUsageSampler(),
    stallMs: 0,
    onStall() {},
    onEvent() {},
    onRaw() {},
    ...options,
  });
}

test("what a turn leaves to be done ends with it: the agent of the run's next turn is not swept away", async () => {
  const folder = await mkdtemp(join(tmpdir(), "turn-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  // Its process is gone before the conversation is over.
  const agent: Agent = { ...codex, converse: () => sleep(100) };
  const runId = `turn-test-${process.pid}`;
  for (let round = 0; round < 5; round++) {
    await turnIn(folder, {
      agent,
      process: { executable: "/bin/true", args: [], env: { [trackingVariable]: runId } },
      runId,
    });
    const next = spawn("sleep", ["30"], {
      env: { ...process.env, [trackingVariable]: runId },
      stdio: "ignore",
    });
    await sleep(150);
    expect(next.signalCode).toBeNull();
    next.kill("SIGKILL");
  }
});

test("files of ours are written where they belong, whatever links an earlier turn left on the way", async () => {
  const folder = await mkdtemp(join(tmpdir(), "turn-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [workspace, victim] = [join(folder, "workspace"), join(folder, "victim")];
  for (const path of [workspace, victim]) await mkdir(path);
  await writeFile(join(victim, ".env"), "SERVER_KEY=1");
  await symlink(victim, join(workspace, ".qwen"));
  await turnIn(folder, {
    cwd: workspace,
    files: { [join(workspace, ".qwen", ".env")]: "ours", [join(folder, "turn", "schema.json")]: "{}" },
  });
  expect(await readFile(join(victim, ".env"), "utf8")).toBe("SERVER_KEY=1");
  expect(await readFile(join(workspace, ".qwen", ".env"), "utf8")).toBe("ours");
  expect(await readFile(join(folder, "turn", "schema.json"), "utf8")).toBe("{}");
});
