/** Ends a process group of ours at once; nothing happens when nobody is left in it. `leader` must be a child not yet reaped. */
export function killGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // ESRCH: the group is gone.
  }
}
