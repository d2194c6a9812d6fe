import { describe, expect, test, vi } from "vitest";
import { createGate } from "./gate.ts";
import { holdTask, settle } from "./held-task.ts";

describe("giving up", () => {
  test("an abort while waiting frees the place at once and never runs the task", async () => {
    const gate = createGate({ limit: 1, maxQueueSize: 2 });
    const first = holdTask(gate);
    await settle();
    const stop = new AbortController();
    const second = holdTask(gate, stop.signal);
    const third = holdTask(gate);

    stop.abort(new Error("cancelled"));
    expect(gate.snapshot().queued).toBe(1);
    await expect(second.result).rejects.toThrow("cancelled");
    const fourth = holdTask(gate);

    first.end();
    await settle();
    expect(third.task).toHaveBeenCalled();
    third.end();
    await settle();
    expect(fourth.task).toHaveBeenCalled();
    fourth.end();
    await gate.onIdle();
    expect(second.task).not.toHaveBeenCalled();
  });

  test("an abort before or just after run is one too", async () => {
    const gate = createGate({ limit: 1, maxQueueSize: 2 });
    const early = holdTask(gate, AbortSignal.abort(new Error("before")));
    await expect(early.result).rejects.toThrow("before");

    const stop = new AbortController();
    const late = holdTask(gate, stop.signal);
    stop.abort(new Error("after"));
    await expect(late.result).rejects.toThrow("after");
    expect(late.task).not.toHaveBeenCalled();
    expect(gate.snapshot()).toMatchObject({ running: 0, queued: 0 });
    await expect(gate.reserve().run(async () => "free")).resolves.toBe("free");
  });

  test("an abort while running is left to the task", async () => {
    const gate = createGate({ limit: 1, maxQueueSize: 1 });
    const stop = new AbortController();
    const running = holdTask(gate, stop.signal);
    await settle();
    stop.abort();
    expect(gate.snapshot().running).toBe(1);
    running.end();
    await expect(running.result).resolves.toBeUndefined();
  });
});

describe("the slots", () => {
  test("are given in the order of asking", async () => {
    const gate = createGate({ limit: 2, maxQueueSize: 100 });
    const order: number[] = [];
    const runs = Array.from({ length: 50 }, (_, index) =>
      gate.reserve().run(async () => {
        order.push(index);
      }),
    );
    await Promise.all(runs);
    expect(order).toEqual(runs.map((_, index) => index));
  });

  test("can be made more while tasks wait", async () => {
    const gate = createGate({ limit: 1, maxQueueSize: 10 });
    const tasks = Array.from({ length: 4 }, () => holdTask(gate));
    await settle();
    gate.limit = 3;
    await settle();
    expect(gate.limit).toBe(3);
    expect(gate.snapshot()).toMatchObject({ running: 3, queued: 1 });
    for (const { end } of tasks) end();
    await gate.onIdle();
  });

  test("can be made fewer without stopping what runs", async () => {
    const gate = createGate({ limit: 3, maxQueueSize: 10 });
    const [first, second, third, fourth] = Array.from({ length: 4 }, () => holdTask(gate));
    await settle();
    gate.limit = 1;
    expect(gate.snapshot()).toMatchObject({ running: 3, queued: 1, max_concurrent: 1 });
    first?.end();
    second?.end();
    await settle();
    expect(fourth?.task).not.toHaveBeenCalled();
    third?.end();
    await settle();
    expect(fourth?.task).toHaveBeenCalled();
    fourth?.end();
  });

  test("are idle only when nothing runs and no place is held", async () => {
    const gate = createGate({ limit: 1, maxQueueSize: 2 });
    await gate.onIdle();
    const running = holdTask(gate);
    const held = gate.reserve();
    const idle = vi.fn();
    void gate.onIdle().then(idle);
    running.end();
    await settle();
    expect(idle).not.toHaveBeenCalled();
    held.release();
    await settle();
    expect(idle).toHaveBeenCalledOnce();
  });

  test("serve ten thousand trivial tasks without delay", { timeout: 5000 }, async () => {
    const gate = createGate({ limit: 8, maxQueueSize: 10_000 });
    const run = async (_: unknown, index: number) => gate.reserve().run(async () => index);
    const results = await Promise.all(Array.from({ length: 10_000 }, run));
    expect(results.at(-1)).toBe(9999);
  });
});
