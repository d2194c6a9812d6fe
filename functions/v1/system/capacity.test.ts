import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type Harness, plainPackage, startHarness } from "../../../tests/harness.ts";
import { answering } from "../../../tests/stand-in.ts";
import getCapacity from "./capacity.get.ts";

let harness: Harness;
afterEach(() => harness.close());

const capacity = async () => (await harness.call(getCapacity)).body;

/** Runs a job that takes long enough to be measured, and gives its status. */
async function measuredRun() {
  harness = await startHarness({ scenario: [{ lines: answering({ ok: true }), waitBefore: 1_000 }] });
  await harness.writeSkill("s", plainPackage("s"));
  const { request_id: id } = (await harness.submit({ skill_id: "s" })).body;
  return harness.ended(id);
}

describe("GET /v1/system/capacity", () => {
  test("says what a run of each engine is thought to need, and who says so", async () => {
    harness = await startHarness({ env: { SKILL_RUNNER_ESTIMATED_FD_PER_RUN: "33" } });
    const { engines, budget, reserved, short_of } = await capacity();
    expect(engines.codex).toMatchObject({
      estimate: { fds: 33 },
      source: { memory_mib: "built_in", pids: "built_in", fds: "setting" },
      samples: 0,
    });
    expect(engines.codex.estimate.memory_mib).toBeGreaterThan(50);
    expect(Object.keys(budget)).toEqual(["memory_mib", "pids", "fds"]);
    expect({ reserved, short_of }).toEqual({ reserved: { memory_mib: 0, pids: 0, fds: 0 }, short_of: null });
  });

  test("counts what the running job is thought to need", async () => {
    harness = await startHarness({
      env: { SKILL_RUNNER_ESTIMATED_MEM_PER_RUN_MB: "77", SKILL_RUNNER_ESTIMATED_PID_PER_RUN: "5" },
      scenario: [{ lines: answering({ ok: true }), waitBefore: 500 }],
    });
    await harness.writeSkill("s", plainPackage("s"));
    const { request_id: id } = (await harness.submit({ skill_id: "s" })).body;
    while ((await harness.calls()).length === 0) await new Promise(setImmediate);
    expect(await capacity()).toMatchObject({ running: 1, reserved: { memory_mib: 77, pids: 5 } });
    await harness.ended(id);
    await harness.services.capacity.gate.onIdle();
    expect(await capacity()).toMatchObject({ running: 0, reserved: { memory_mib: 0, pids: 0, fds: 0 } });
  });
});

describe.runIf(process.platform === "linux")("a run that took a while", () => {
  test("tells what it took, in its status and with its turn's logs", async () => {
    const job = await measuredRun();
    expect(job).toMatchObject({ status: "succeeded", resources: { peak_processes: 1 } });
    expect(job.resources.peak_memory_mib).toBeGreaterThan(3);
    expect(job.resources.peak_threads).toBeGreaterThan(1);
    const [folder] = job.workspaceDir.split("/workspace");
    const meta = await readFile(join(harness.config.dataDir, folder, "turn-1", "meta.json"), "utf8");
    expect(JSON.parse(meta).resources).toEqual(job.resources);
  });

  test("corrects what its engine is thought to need, beyond a restart", async () => {
    await measuredRun();
    const learnt = (await capacity()).engines.codex;
    expect(learnt).toMatchObject({ samples: 1, source: { memory_mib: "measured", pids: "measured" } });
    await harness.restart();
    expect((await capacity()).engines.codex).toEqual(learnt);
  });

  test("is not thought to have taken it again when its answer is given from the cache", async () => {
    await measuredRun();
    const again = (await harness.submit({ skill_id: "s" })).body;
    expect(again.cache_hit).toBe(true);
    expect((await harness.ended(again.request_id)).resources).toBeNull();
    expect((await capacity()).engines.codex.samples).toBe(1);
  });
});
