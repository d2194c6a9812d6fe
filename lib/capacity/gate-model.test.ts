import fc from "fast-check";
import { expect, test } from "vitest";
import { nothing, unlimited } from "./budget.ts";
import { createGate } from "./gate.ts";
import { type HeldTask, holdTask, settle } from "./held-task.ts";

const most = { a: 1, b: 2, c: 3 };
const labels = fc.subarray(["a", "b", "c", "d"]);

type Step =
  | { do: "join"; priority: number; labels: string[]; weight: number }
  | { do: "end"; at: number }
  | { do: "give up"; at: number }
  | { do: "limit"; to: number }
  | { do: "budget"; to: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("join" as const),
      priority: fc.integer({ min: 1, max: 3 }),
      labels,
      weight: fc.integer({ min: 0, max: 60 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("end" as const), at: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("give up" as const), at: fc.nat(50) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("limit" as const), to: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("budget" as const), to: fc.integer({ min: 10, max: 150 }) }),
  },
);

interface Job {
  id: number;
  priority: number;
  labels: string[];
  weight: number;
}

/** What the gate is to do, said as plainly as can be: look at everybody, again and again. */
class Model {
  limit = 3;
  budget = 100;
  waiting: Job[] = [];
  running: Job[] = [];
  begun: number[] = [];

  serve(): void {
    for (;;) {
      const [first] = this.waiting
        .filter((job) => job.labels.every((label) => this.#hasRoom(label)))
        .sort((one, other) => one.priority - other.priority || one.id - other.id);
      if (first === undefined || this.running.length >= this.limit) return;
      const taken = this.running.reduce((sum, job) => sum + job.weight, 0);
      if (this.running.length > 0 && taken + first.weight > this.budget) return;
      this.waiting = this.waiting.filter((job) => job !== first);
      this.running.push(first);
      this.begun.push(first.id);
    }
  }

  #hasRoom(label: string): boolean {
    const cap = Object.entries(most).find(([capped]) => capped === label)?.[1] ?? Number.POSITIVE_INFINITY;
    return this.running.filter((job) => job.labels.includes(label)).length < cap;
  }
}

test("whatever happens in whichever order, those run that the rules say, begun in that order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), async (steps) => {
      const model = new Model();
      const budgetOf = (memory_mib: number) => ({ ...unlimited, memory_mib });
      const gate = createGate({
        limit: model.limit,
        maxQueueSize: 1_000,
        budget: budgetOf(model.budget),
        caps: new Map(Object.entries(most)),
      });
      const begun: number[] = [];
      const held = new Map<number, HeldTask & { stop: AbortController }>();
      let jobs = 0;
      for (const now of steps) {
        if (now.do === "join") {
          const job = { id: jobs++, ...now };
          const stop = new AbortController();
          const need = () => ({ ...nothing, memory_mib: job.weight });
          const { priority, labels } = job;
          const task = holdTask(gate, stop.signal, gate.reserve({ need, priority, labels }));
          const ends = task.task.getMockImplementation();
          task.task.mockImplementation(async () => {
            begun.push(job.id);
            await ends?.();
          });
          task.result.catch(() => undefined);
          held.set(job.id, { ...task, stop });
          model.waiting.push(job);
        } else if (now.do === "end") {
          const job = model.running[now.at % Math.max(1, model.running.length)];
          model.running = model.running.filter((other) => other !== job);
          if (job) held.get(job.id)?.end();
        } else if (now.do === "give up") {
          const job = model.waiting[now.at % Math.max(1, model.waiting.length)];
          model.waiting = model.waiting.filter((other) => other !== job);
          if (job) held.get(job.id)?.stop.abort();
        } else if (now.do === "limit") {
          model.limit = now.to;
          gate.limit = now.to;
        } else {
          model.budget = now.to;
          gate.budget = budgetOf(now.to);
        }
        model.serve();
        await settle();
        expect(begun).toEqual(model.begun);
        expect(gate.snapshot()).toMatchObject({
          running: model.running.length,
          queued: model.waiting.length,
        });
        for (const [label, cap] of Object.entries(most)) {
          expect(gate.running(label)).toBe(model.running.filter((job) => job.labels.includes(label)).length);
          expect(gate.running(label)).toBeLessThanOrEqual(cap);
        }
        expect(gate.running("d")).toBe(0);
      }
      // All of them have their turn: nobody is lost on the way.
      while (model.running.length > 0) {
        const [job] = model.running.splice(0, 1);
        if (job) held.get(job.id)?.end();
        model.serve();
        await settle();
        expect(begun).toEqual(model.begun);
      }
      expect(model.waiting).toEqual([]);
      await gate.onIdle();
    }),
    { numRuns: 150 },
  );
});
