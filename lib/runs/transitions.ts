import { z } from "zod";
import { RunnerError } from "../errors.ts";

export const runStatus = z.enum([
  "created",
  "queued",
  "running",
  "waiting_user",
  "waiting_auth",
  "succeeded",
  "failed",
  "canceled",
]);
export type RunStatus = z.infer<typeof runStatus>;

/** The whole state machine: what may come after what. Nothing else may change a run's status. */
const transitions: Readonly<Record<RunStatus, readonly RunStatus[]>> = {
  // Waiting for its files. Succeeds at once when the upload makes it a cache hit.
  created: ["queued", "succeeded", "canceled"],
  queued: ["running", "failed", "canceled"],
  running: ["succeeded", "failed", "canceled", "waiting_user", "waiting_auth", "queued"],
  waiting_user: ["queued", "failed", "canceled"],
  waiting_auth: ["queued", "failed", "canceled"],
  succeeded: [],
  failed: [],
  canceled: [],
};

/** It is somebody else's turn: no slot is held, and nobody holds the run. */
export function waitsForSomebody(status: RunStatus): boolean {
  return status === "created" || status === "waiting_user" || status === "waiting_auth";
}

export function isTerminal(status: RunStatus): boolean {
  return transitions[status].length === 0;
}

export function mayBecome(from: RunStatus, to: RunStatus): boolean {
  return transitions[from].includes(to);
}

/** @throws RunnerError JOB_STATE_CONFLICT when the state machine has no such step. */
export function assertTransition(from: RunStatus, to: RunStatus): void {
  if (mayBecome(from, to)) return;
  throw new RunnerError("JOB_STATE_CONFLICT", `A job that is ${from} cannot become ${to}.`);
}
