/** Waits for all of them, also when one fails, so that nothing is still being written when the failure is told. */
export async function allDone(work: (Promise<void> | undefined)[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === "rejected") throw result.reason;
}
