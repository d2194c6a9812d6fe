import { describe, expect, test } from "vitest";
import { RunnerError } from "../errors.ts";
import { createGate } from "./gate.ts";
import type { Gate } from "./gate-contract.ts";
import { holdTask, settle } from "./held-task.ts";

function queueFull(gate: Gate): RunnerError {
  try {
    gate.reserve();
  } catch (error) {
    if (error instanceof RunnerError) return error;
  }
  throw new Error("expected QUEUE_FULL");
}

describe("the queue bound", () => {
  test("counts a job as queued until it owns a slot", async () => {
    const gate = createGate({ limit: 1, maxQueueSize: 2 });
    const first = holdTask(gate);
    await settle();
    const second = holdTask(gate);
    const third = holdTask(gate);
    await settle();
    expect(gate.snapshot()).toEqual({ running: 1, queued: 2, max_concurrent: 1, max_queue_size: 2 });
    expect(queueFull(gate).code).toBe("QUEUE_FULL");

    first.end();
    await settle();
    expect(gate.snapshot()).toMatchObject({ running: 1, queued: 1 });
    holdTask(gate);
    second.end();
    third.end();
  });

  test("never refuses while a slot is free", () => {
    const gate = createGate({ limit: 3, maxQueueSize: 1 });
    gate.reserve();
    gate.reserve();
    gate.reserve();
    expect(queueFull(gate).code).toBe("QUEUE_FULL");
  });

  test("lets recovered jobs in over the bound, and counts them", () => {
    const gate = createGate({ limit: 1, maxQueueSize: 1 });
    for (let job = 0; job < 5; job += 1) gate.admit();
    expect(gate.snapshot().queued).toBe(5);
    expect(queueFull(gate).code).toBe("QUEUE_FULL");
  });

  test("says when to try again, from how long runs took lately", async () => {
    let clock = 0;
    const gate = createGate({ limit: 2, maxQueueSize: 4, now: () => clock });
    await gate.reserve().run(async () => {
      clock += 10_000;
    });
    const held = Array.from({ length: 4 }, () => gate.reserve());
    expect(queueFull(gate).retryAfterSeconds).toBe(20);

    for (const reservation of held) reservation.release();
    await gate.reserve().run(async () => {
      clock += 10_000_000;
    });
    for (let place = 0; place < 4; place += 1) gate.reserve();
    expect(queueFull(gate).retryAfterSeconds).toBe(300);
  });

  test("asks for at least a second", async () => {
    const gate = createGate({ limit: 1, maxQueueSize: 1 });
    await gate.reserve().run(async () => {});
    gate.reserve();
    expect(queueFull(gate).retryAfterSeconds).toBe(1);
  });
});

describe("a reservation", () => {
  test("gives the task's result or its failure", async () => {
    const gate = createGate({ limit: 1, maxQueueSize: 1 });
    await expect(gate.reserve().run(async () => 7)).resolves.toBe(7);
    await expect(gate.reserve().run(() => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
    const throwing = () => {
      throw new Error("at once");
    };
    await expect(gate.reserve().run(throwing)).rejects.toThrow("at once");
    expect(gate.snapshot()).toMatchObject({ running: 0, queued: 0 });
  });

  test("can be released once, and only before it is run", async () => {
    const gate = createGate({ limit: 1, maxQueueSize: 5 });
    const unused = gate.reserve();
    const kept = gate.reserve();
    unused.release();
    unused.release();
    expect(gate.snapshot().queued).toBe(1);
    await expect(unused.run(async () => {})).rejects.toThrow("already");

    const running = holdTask(gate, undefined, kept);
    kept.release();
    await settle();
    expect(gate.snapshot()).toMatchObject({ running: 1, queued: 0 });
    await expect(kept.run(async () => {})).rejects.toThrow("already");
    running.end();
  });
});
