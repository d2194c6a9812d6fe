import { describe, expect, test, vi } from "vitest";
import { type Need, nothing, unlimited } from "./budget.ts";
import { createGate } from "./gate.ts";
import type { Gate, GateEntry } from "./gate-contract.ts";
import { type HeldTask, holdTask, settle } from "./held-task.ts";

const mib = (memory_mib: number): Need => ({ ...nothing, memory_mib });
const hold = (gate: Gate, entry: GateEntry, signal?: AbortSignal) =>
  holdTask(gate, signal, gate.reserve(entry));
const started = (tasks: HeldTask[]) => tasks.map(({ task }) => task.mock.calls.length > 0);
const caps = (most: Record<string, number>) => new Map(Object.entries(most));

async function end(...tasks: (HeldTask | undefined)[]): Promise<void> {
  for (const task of tasks) task?.end();
  await settle();
}

describe("priority", () => {
  test("decides who is served first, then who came first; 5 is what is said of nobody", async () => {
    const gate = createGate({ limit: 1, maxQueueSize: 100 });
    const order: string[] = [];
    const run = (name: string, entry?: GateEntry) =>
      gate.reserve(entry).run(async () => {
        order.push(name);
      });
    const running = holdTask(gate);
    await settle();
    const runs = [
      run("last", { priority: 10 }),
      run("5", { priority: 5 }),
      run("default"),
      run("first", { priority: 1 }),
      run("5 again", { priority: 5 }),
      run("second", { priority: 1 }),
    ];
    running.end();
    await Promise.all(runs);
    expect(order).toEqual(["first", "second", "5", "default", "5 again", "last"]);
  });

  test("stops nothing that runs", async () => {
    const gate = createGate({ limit: 1, maxQueueSize: 100 });
    const running = hold(gate, { priority: 10 });
    await settle();
    const urgent = hold(gate, { priority: 1 });
    await settle();
    expect(started([running, urgent])).toEqual([true, false]);
    await end(running, urgent);
  });

  test("goes before a heavy task that waits for room, which those behind it still cannot pass", async () => {
    const gate = createGate({ limit: 10, maxQueueSize: 100, budget: { ...unlimited, memory_mib: 100 } });
    const running = hold(gate, { need: () => mib(50) });
    const heavy = hold(gate, { need: () => mib(90) });
    await settle();
    const light = hold(gate, { need: () => mib(10) });
    const urgent = hold(gate, { need: () => mib(10), priority: 4 });
    await settle();
    expect(started([heavy, light, urgent])).toEqual([false, false, true]);
    expect(gate.shortOf).toBe("memory_mib");
    await end(urgent);
    expect(started([heavy, light])).toEqual([false, false]);
    await end(running);
    expect(started([heavy, light])).toEqual([true, true]);
    await end(heavy, light);
  });

  test("of a heavy task holds back what is less urgent", async () => {
    const gate = createGate({ limit: 10, maxQueueSize: 100, budget: { ...unlimited, memory_mib: 100 } });
    const running = hold(gate, { need: () => mib(50) });
    await settle();
    const heavy = hold(gate, { need: () => mib(90), priority: 1 });
    const light = hold(gate, { need: () => mib(1) });
    await settle();
    expect(started([heavy, light])).toEqual([false, false]);
    await end(running);
    expect(started([heavy, light])).toEqual([true, true]);
    await end(heavy, light);
  });
});

describe("a cap", () => {
  test("is kept to, holds up nobody else, and is nothing to those without its label", async () => {
    const gate = createGate({ limit: 10, maxQueueSize: 100, caps: caps({ a: 2 }) });
    const capped = Array.from({ length: 4 }, () => hold(gate, { labels: ["a", "x"] }));
    const others = [hold(gate, { labels: ["x"] }), hold(gate, {})];
    await settle();
    expect(started([...capped, ...others])).toEqual([true, true, false, false, true, true]);
    expect(gate.snapshot()).toMatchObject({ running: 4, queued: 2 });
    expect([gate.running("a"), gate.running("x"), gate.shortOf]).toEqual([2, 0, null]);
    await end(capped[1]);
    expect(started(capped)).toEqual([true, true, true, false]);
    await end(...capped);
    expect(started(capped)).toEqual([true, true, true, true]);
    await end(...capped, ...others);
    await gate.onIdle();
    expect(gate.running("a")).toBe(0);
  });

  test("leaves the one that it holds back its place in line", async () => {
    const gate = createGate({ limit: 2, maxQueueSize: 100, caps: caps({ a: 1 }) });
    const running = [hold(gate, { labels: ["a"] }), hold(gate, {})];
    await settle();
    const capped = hold(gate, { labels: ["a"] });
    const behind = hold(gate, {});
    await end(running[0]);
    expect(started([capped, behind])).toEqual([true, false]);
    await end(running[1], capped, behind);
  });

  test("on each of two labels lets in only who is under both", async () => {
    const gate = createGate({ limit: 10, maxQueueSize: 100, caps: caps({ a: 1, b: 1 }) });
    const a = hold(gate, { labels: ["a"] });
    const b = hold(gate, { labels: ["b"] });
    const both = hold(gate, { labels: ["b", "a", "a"] });
    await end(a);
    expect(started([both])).toEqual([false]);
    await end(b);
    expect(started([both])).toEqual([true]);
    expect([gate.running("a"), gate.running("b")]).toEqual([1, 1]);
    await end(both);
    expect([gate.running("a"), gate.running("b")]).toEqual([0, 0]);
  });

  test("is free again when its task fails, and not taken by one that gave up", async () => {
    const gate = createGate({ limit: 10, maxQueueSize: 100, caps: caps({ a: 1 }) });
    const failing = gate.reserve({ labels: ["a"] }).run(() => Promise.reject(new Error("broken")));
    await expect(failing).rejects.toThrow("broken");
    const running = hold(gate, { labels: ["a"] });
    await settle();
    const stop = new AbortController();
    const waiting = hold(gate, { labels: ["a"] }, stop.signal);
    const next = hold(gate, { labels: ["a"] });
    stop.abort(new Error("canceled"));
    await expect(waiting.result).rejects.toThrow("canceled");
    await end(running);
    expect(started([waiting, next])).toEqual([false, true]);
    await end(next);
  });

  test("does not let light tasks starve a heavy one once it is under its cap", async () => {
    const gate = createGate({
      limit: 4,
      maxQueueSize: 1000,
      budget: { ...unlimited, memory_mib: 100 },
      caps: caps({ a: 1 }),
    });
    let ended = 0;
    let endedBeforeHeavy = -1;
    const light = () =>
      gate.reserve({ need: () => mib(30) }).run(async () => {
        await settle();
        ended += 1;
      });
    const running = hold(gate, { labels: ["a"], need: () => mib(10) });
    await settle();
    const heavy = gate.reserve({ labels: ["a"], need: () => mib(100) }).run(async () => {
      endedBeforeHeavy = ended;
    });
    const runs = Array.from({ length: 200 }, light);
    // Under the cap's hold the others went on; from now on the heavy one is first.
    while (ended < 20) await settle();
    running.end();
    await Promise.all([heavy, ...runs]);
    expect(endedBeforeHeavy).toBeGreaterThanOrEqual(20);
    expect(endedBeforeHeavy).toBeLessThanOrEqual(30);
  });

  test("keeps a queue of those that it holds back within the bound, and tells when to come again from what runs", async () => {
    let clock = 0;
    const gate = createGate({ limit: 3, maxQueueSize: 2, caps: caps({ a: 1 }), now: () => clock });
    await gate.reserve().run(async () => {
      clock += 10_000;
    });
    const tasks = Array.from({ length: 3 }, () => hold(gate, { labels: ["a"] }));
    await settle();
    expect(gate.snapshot()).toMatchObject({ running: 1, queued: 2 });
    expect(() => gate.reserve()).toThrow("2 waiting, 1 running. Try again in 20 s");
    for (const task of tasks) await end(task);
  });
});

describe("while nobody can be served", () => {
  test("nothing is asked again and again", async () => {
    const need = vi.fn(() => mib(60));
    const gate = createGate({
      limit: 100,
      maxQueueSize: 5_000,
      budget: { ...unlimited, memory_mib: 100 },
      caps: caps({ a: 1 }),
    });
    const tasks = Array.from({ length: 1_000 }, () => hold(gate, { need, labels: ["a"] }));
    for (let turns = 0; turns < 50; turns += 1) await settle();
    expect(need).toHaveBeenCalledTimes(1);
    const heavy = Array.from({ length: 1_000 }, () => hold(gate, { need }));
    for (let turns = 0; turns < 50; turns += 1) await settle();
    expect(need).toHaveBeenCalledTimes(2);
    for (const task of [...tasks, ...heavy]) task.end();
    await gate.onIdle();
  });

  test("a held gate takes places, and serves them by priority when all have let go of it", async () => {
    const gate = createGate({ limit: 1, maxQueueSize: 100 });
    const running = holdTask(gate);
    await settle();
    const [open, alsoOpen] = [gate.hold(), gate.hold()];
    const late = hold(gate, { priority: 9 });
    await end(running);
    const urgent = hold(gate, { priority: 1 });
    open();
    open();
    await settle();
    expect(started([late, urgent])).toEqual([false, false]);
    alsoOpen();
    await settle();
    expect(started([late, urgent])).toEqual([false, true]);
    await end(urgent, late);
    await end(late);
  });
});

test("ten thousand tasks of a hundred kinds are served without delay", { timeout: 5000 }, async () => {
  const kinds = Array.from({ length: 100 }, (_, kind) => [`k${kind}`, 1] as const);
  const gate = createGate({ limit: 8, maxQueueSize: 10_000, caps: new Map(kinds) });
  const runs = Array.from({ length: 10_000 }, async (_, index) =>
    gate
      .reserve({ priority: 1 + (index % 10), labels: [`k${index % 100}`] })
      .run(async () => gate.running(`k${index % 100}`)),
  );
  expect(new Set(await Promise.all(runs))).toEqual(new Set([1]));
});
