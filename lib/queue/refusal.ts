/** What Redis says while it can do nothing for the moment: it is loading, is no master, its memory or disk is full. */
const passing =
  /\b(LOADING|READONLY|MASTERDOWN|OOM|BUSY|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|MISCONF|NOAUTH|WRONGPASS)\b/;

/**
 * Whether Redis itself refused a command, for good: to send it again would change nothing. All else passes, such as a lost
 * connection. Redis 6 wraps what a script ran into in words of its own, so the code is looked for anywhere.
 */
export function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.name === "ReplyError" && !passing.test(error.message);
}
