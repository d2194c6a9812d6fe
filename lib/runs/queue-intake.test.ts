import { expect, test, vi } from "vitest";
import { createGate } from "../capacity/gate.ts";
import type { TakenJob } from "../queue/index.ts";
import { createQueueIntake } from "./queue-intake.ts";

/** A queue whose answers wait until they are let go; what they say is what was true when they were asked for. */
function slowQueue() {
  const waiting: string[] = [];
  const held: (() => void)[] = [];
  const later = <T>(answer: T) => new Promise<T>((resolve) => held.push(() => resolve(answer)));
  /** Somebody waits for an answer. */
  const asked = () => vi.waitFor(() => expect(held.length).toBeGreaterThan(0), { interval: 1 });
  return {
    add: (run: string) => waiting.push(run),
    queue: {
      hasWork: () => later(waiting.length > 0),
      take: () => {
        const run = waiting.shift();
        return later(run === undefined ? null : jobOf(run));
      },
    },
    asked,
    /** Lets the next answers go. */
    async answer(count = 1) {
      for (let answers = 0; answers < count; answers++) {
        await asked();
        held.shift()?.();
      }
    },
    loseOne: () => waiting.shift(),
  };
}

function jobOf(run: string): TakenJob {
  const lost = new AbortController().signal;
  const over = async () => {};
  return { run, id: run, revision: 0, skill: "any", insteadOf: null, lost, done: over, later: over };
}

function intakeOf({ queue }: ReturnType<typeof slowQueue>, warn = vi.fn()) {
  const handled: string[] = [];
  const gate = createGate({ limit: 2, maxQueueSize: 10 });
  const closing = new AbortController();
  const serve = createQueueIntake({
    queue,
    admit: () => gate.admit(),
    async handle(job) {
      handled.push(job.run);
    },
    signal: closing.signal,
    log: { warn },
  });
  return { serve, handled, closing };
}

test("a job that comes while the last look at an empty queue is under way is taken without another call", async () => {
  const slow = slowQueue();
  const { serve, handled } = intakeOf(slow);
  const over = serve("codex");
  slow.add("late");
  await serve("codex");
  // "nothing", as of before; then it is there, is taken, and was the only one.
  await slow.answer(4);
  await over;
  expect(handled).toEqual(["late"]);
});

test("a job that comes when another server has just taken the one before is taken without another call", async () => {
  const slow = slowQueue();
  const { serve, handled } = intakeOf(slow);
  slow.add("another server's");
  const over = serve("codex");
  slow.loseOne();
  await slow.answer();
  await slow.asked();
  slow.add("late");
  await serve("codex");
  // "nothing to take", as of before.
  await slow.answer(4);
  await over;
  expect(handled).toEqual(["late"]);
});

test("a look that fails is told of, and does not stand in the way of the next", async () => {
  const slow = slowQueue();
  const warn = vi.fn();
  const { serve, handled } = intakeOf(slow, warn);
  vi.spyOn(slow.queue, "hasWork").mockRejectedValueOnce(new Error("away"));
  await serve("codex");
  expect(warn).toHaveBeenCalledOnce();
  slow.add("later");
  const over = serve("codex");
  await slow.answer(3);
  await over;
  expect(handled).toEqual(["later"]);
});

test("nothing is looked at or taken once it is closing", async () => {
  const slow = slowQueue();
  const { serve, handled, closing } = intakeOf(slow);
  slow.add("one");
  const over = serve("codex");
  closing.abort();
  await slow.answer();
  await over;
  await serve("codex");
  expect(handled).toEqual([]);
});
