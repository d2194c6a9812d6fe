import { type Mock, vi } from "vitest";
import type { Gate } from "./gate-contract.ts";

export interface HeldTask {
  end: () => void;
  task: Mock<() => Promise<void>>;
  result: Promise<void>;
}

/** Test support: puts a task through `gate` that runs until `end` is called. */
export function holdTask(gate: Gate, signal?: AbortSignal, reservation = gate.reserve()): HeldTask {
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const task = vi.fn(() => ended);
  return { end, task, result: reservation.run(task, signal ? { signal } : {}) };
}

/** Lets everything that is ready to go on do so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
