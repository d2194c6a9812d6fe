import { closeSync, openSync } from "node:fs";
import { devNull } from "node:os";
import { type Context, createContext, Script } from "node:vm";

/** A task took longer than it may. */
export class OutOfTime extends Error {
  override name = "OutOfTime";
  constructor(ms: number) {
    super(`it took longer than ${ms} ms`);
  }
}

/**
 * Descriptors that must be free. vm's clock is an event loop, with three or so; where they are missing, Node ends the process. The
 * others are for what threads open meanwhile.
 */
const descriptorsNeeded = 8;

/** Carries out a task on this thread and gives what it returns. @throws OutOfTime, the system's EMFILE, and what the task throws */
export type TimeLimit = <T>(task: () => T) => T;

/**
 * Makes what gives tasks so much time, in milliseconds. Only vm can end code that runs on this thread
 * (https://nodejs.org/api/vm.html#scriptrunincontextcontextifiedobject-options): loops and regular expressions, in the middle
 * and without their `finally`; not JSON.parse and the like, which are linear. A task may not limit another.
 * Its first use takes a millisecond, others a tenth.
 */
export function createTimeLimit(ms: number): TimeLimit {
  const inside: { task: () => void } = { task: nothing };
  let made: { context: Context; script: Script } | undefined;
  return <T>(task: () => T): T => {
    assertDescriptors();
    let given: { value: T } | undefined;
    inside.task = () => {
      given = { value: task() };
    };
    try {
      made ??= { context: createContext(inside), script: new Script("task()") };
      made.script.runInContext(made.context, { timeout: ms });
    } catch (error) {
      throw isTimeout(error) ? new OutOfTime(ms) : error;
    } finally {
      inside.task = nothing;
    }
    if (given === undefined) throw new OutOfTime(ms);
    return given.value;
  };
}

/** @throws the system's error (EMFILE, ENFILE) where too few descriptors are free */
function assertDescriptors(): void {
  const opened: number[] = [];
  try {
    while (opened.length < descriptorsNeeded) opened.push(openSync(devNull, "r"));
  } finally {
    for (const descriptor of opened) closeSync(descriptor);
  }
}

function nothing(): void {}

// Errors out of a vm context are not instances of this realm's Error.
function isTimeout(error: unknown): boolean {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : null;
  return code === "ERR_SCRIPT_EXECUTION_TIMEOUT";
}
