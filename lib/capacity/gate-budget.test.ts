import { describe, expect, test } from "vitest";
import { RunnerError } from "../errors.ts";
import { type Budget, type Need, nothing, unlimited } from "./budget.ts";
import { createGate } from "./gate.ts";
import type { Gate } from "./gate-contract.ts";
import { type HeldTask, holdTask, settle } from "./held-task.ts";

/** A need of this much memory and nothing else, and a budget alike. */
const mib = (memory_mib: number): Need => ({ ...nothing, memory_mib });
const budgetOf = (memory_mib: number): Budget => ({ ...unlimited, memory_mib });

const gateOf = (budget: Budget, limit = 10, maxQueueSize = 10) => createGate({ limit, maxQueueSize, budget });
const hold = (gate: Gate, need: Need, signal?: AbortSignal) =>
  holdTask(gate, signal, gate.reserve({ need: () => need }));
const started = (tasks: HeldTask[]) => tasks.map(({ task }) => task.mock.calls.length > 0);

async function end(task: HeldTask | undefined): Promise<void> {
  task?.end();
  await settle();
}

describe("a budget", () => {
  test("lets in what fits, though more slots are free, and the next when there is room again", async () => {
    const gate = gateOf(budgetOf(1000));
    const tasks = Array.from({ length: 4 }, () => hold(gate, mib(400)));
    await settle();
    expect(started(tasks)).toEqual([true, true, false, false]);
    expect(gate.snapshot()).toMatchObject({ running: 2, queued: 2 });
    expect(gate.reserved).toEqual(mib(800));
    expect(gate.shortOf).toBe("memory_mib");

    await end(tasks[1]);
    expect(started(tasks)).toEqual([true, true, true, false]);
    for (const { end } of tasks) end();
    await gate.onIdle();
    expect(gate.reserved).toEqual(nothing);
    expect(gate.shortOf).toBeNull();
  });

  test.each(["memory_mib", "pids", "fds"] as const)("holds for %s, to the last one", async (resource) => {
    const gate = gateOf({ ...unlimited, [resource]: 10 });
    const tasks = Array.from({ length: 3 }, () => hold(gate, { ...nothing, [resource]: 5 }));
    await settle();
    expect(started(tasks)).toEqual([true, true, false]);
    expect(gate.shortOf).toBe(resource);
    for (const { end } of tasks) end();
  });

  test("too small for anybody still lets one run at a time", async () => {
    const gate = gateOf(budgetOf(100));
    const tasks = Array.from({ length: 3 }, () => hold(gate, mib(5000)));
    await settle();
    expect(started(tasks)).toEqual([true, false, false]);
    await end(tasks[0]);
    expect(started(tasks)).toEqual([true, true, false]);
    await end(tasks[1]);
    expect(started(tasks)).toEqual([true, true, true]);
    tasks[2]?.end();
  });

  test("counts a need as it is when its turn has come, and gives that back", async () => {
    const gate = gateOf(budgetOf(1000));
    let need = mib(900);
    const first = holdTask(gate, undefined, gate.reserve({ need: () => need }));
    const second = holdTask(gate, undefined, gate.reserve({ need: () => need }));
    await settle();
    expect(started([first, second])).toEqual([true, false]);
    need = mib(50);
    const third = hold(gate, mib(40));
    await end(first);
    expect(started([second, third])).toEqual([true, true]);
    expect(gate.reserved).toEqual(mib(90));
    second.end();
    third.end();
  });

  test("does not widen the limit", async () => {
    const gate = gateOf(budgetOf(1000), 2);
    const tasks = Array.from({ length: 3 }, () => hold(gate, mib(1)));
    await settle();
    expect(started(tasks)).toEqual([true, true, false]);
    expect(gate.shortOf).toBeNull();
    for (const { end } of tasks) end();
  });
});

describe("first come, first served", () => {
  test("a heavy task is not overtaken by light ones that would fit, so it cannot starve", async () => {
    const gate = gateOf(budgetOf(1000));
    const light = [hold(gate, mib(300)), hold(gate, mib(300))];
    const heavy = hold(gate, mib(900));
    const behind = [hold(gate, mib(10)), hold(gate, mib(10))];
    await settle();
    expect(started([...light, heavy, ...behind])).toEqual([true, true, false, false, false]);
    await end(light[0]);
    expect(started([heavy, ...behind])).toEqual([false, false, false]);
    await end(light[1]);
    expect(started([heavy, ...behind])).toEqual([true, true, true]);
    for (const { end } of [heavy, ...behind]) end();
  });

  test("an unending stream of light tasks does not keep a heavy one out", async () => {
    const gate = gateOf(budgetOf(100), 4, 1000);
    let ended = 0;
    let endedBeforeHeavy = -1;
    const light = () =>
      gate.reserve({ need: () => mib(30) }).run(async () => {
        await settle();
        ended += 1;
      });
    const runs = Array.from({ length: 20 }, light);
    runs.push(
      gate.reserve({ need: () => mib(100) }).run(async () => {
        endedBeforeHeavy = ended;
      }),
    );
    runs.push(...Array.from({ length: 200 }, light));
    await Promise.all(runs);
    expect(endedBeforeHeavy).toBe(20);
  });

  test("tasks of every weight begin in the order of asking, and never overdraw", async () => {
    const gate = gateOf(budgetOf(100), 8, 1000);
    const order: number[] = [];
    let most = 0;
    const runs = Array.from({ length: 200 }, (_, index) =>
      gate.reserve({ need: () => mib((index * 37) % 100) }).run(async () => {
        order.push(index);
        most = Math.max(most, gate.reserved.memory_mib);
        for (let waits = index % 3; waits >= 0; waits -= 1) await settle();
      }),
    );
    await Promise.all(runs);
    expect(order).toEqual(runs.map((_, index) => index));
    expect(most).toBeLessThanOrEqual(100);
    expect(most).toBeGreaterThan(50);
  });
});

describe("while the first in line waits for the budget", () => {
  test("it may give up, and who is behind it comes in at once", async () => {
    const gate = gateOf(budgetOf(1000));
    const running = hold(gate, mib(500));
    const stop = new AbortController();
    const heavy = hold(gate, mib(900), stop.signal);
    const light = hold(gate, mib(100));
    await settle();
    expect(gate.snapshot()).toMatchObject({ running: 1, queued: 2 });

    stop.abort(new Error("cancelled"));
    expect(gate.snapshot().queued).toBe(1);
    await expect(heavy.result).rejects.toThrow("cancelled");
    await settle();
    expect(started([heavy, light])).toEqual([false, true]);
    expect(gate.reserved).toEqual(mib(600));
    await end(running);
    light.end();
    await gate.onIdle();
    expect(heavy.task).not.toHaveBeenCalled();
  });

  test("somebody behind it may give up, which changes nothing for it", async () => {
    const gate = gateOf(budgetOf(1000));
    const running = hold(gate, mib(500));
    const heavy = hold(gate, mib(900));
    const stop = new AbortController();
    const behind = hold(gate, mib(1), stop.signal);
    await settle();
    stop.abort(new Error("cancelled"));
    await expect(behind.result).rejects.toThrow("cancelled");
    await settle();
    expect(gate.shortOf).toBe("memory_mib");
    await end(running);
    expect(started([heavy])).toEqual([true]);
    heavy.end();
  });

  test("a queue that is full is full, free slots or not", async () => {
    const gate = gateOf(budgetOf(1000), 10, 2);
    const running = hold(gate, mib(900));
    await settle();
    const waiting = [hold(gate, mib(900)), hold(gate, mib(900))];
    await settle();
    expect(() => gate.reserve()).toThrow(RunnerError);
    expect(gate.snapshot()).toMatchObject({ running: 1, queued: 2, max_concurrent: 10 });
    await end(running);
    expect(() => gate.reserve().release()).not.toThrow();
    for (const { end } of waiting) {
      end();
      await settle();
    }
  });

  test("says when to try again from how many really run at once", async () => {
    let clock = 0;
    const gate = createGate({ limit: 10, maxQueueSize: 2, budget: budgetOf(100), now: () => clock });
    await gate.reserve().run(async () => {
      clock += 10_000;
    });
    const tasks = Array.from({ length: 3 }, () => hold(gate, mib(100)));
    await settle();
    expect(() => gate.reserve()).toThrow("2 waiting, 1 running. Try again in 20 s");
    for (const { end } of tasks) {
      end();
      await settle();
    }
  });
});

describe("a budget that changes", () => {
  test("to less stops nothing that runs, and holds from the next one on", async () => {
    const gate = gateOf(budgetOf(1000));
    const tasks = Array.from({ length: 4 }, () => hold(gate, mib(450)));
    await settle();
    gate.budget = budgetOf(500);
    await settle();
    expect(gate.snapshot()).toMatchObject({ running: 2, queued: 2 });
    await end(tasks[0]);
    expect(started(tasks)).toEqual([true, true, false, false]);
    await end(tasks[1]);
    expect(started(tasks)).toEqual([true, true, true, false]);
    for (const { end } of tasks) end();
  });

  test("to more lets in who waits", async () => {
    const gate = gateOf(budgetOf(500));
    const tasks = Array.from({ length: 4 }, () => hold(gate, mib(450)));
    await settle();
    gate.budget = budgetOf(1400);
    await settle();
    expect(started(tasks)).toEqual([true, true, true, false]);
    gate.budget = unlimited;
    await settle();
    expect(started(tasks)).toEqual([true, true, true, true]);
    for (const { end } of tasks) end();
  });

  test("together with the limit needs room in both", async () => {
    const gate = gateOf(budgetOf(100), 1);
    const tasks = Array.from({ length: 4 }, () => hold(gate, mib(100)));
    await settle();
    gate.limit = 3;
    await settle();
    expect(started(tasks)).toEqual([true, false, false, false]);
    gate.budget = budgetOf(1000);
    await settle();
    expect(started(tasks)).toEqual([true, true, true, false]);
    gate.limit = 1;
    await end(tasks[0]);
    await end(tasks[1]);
    expect(started(tasks)).toEqual([true, true, true, false]);
    await end(tasks[2]);
    expect(started(tasks)).toEqual([true, true, true, true]);
    tasks[3]?.end();
  });
});
