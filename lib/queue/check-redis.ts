import type { Redis } from "ioredis";

/** As every script of the queue does: by its clock, and with a write. KEYS: one that nothing else uses. */
const probe = `
redis.call('TIME')
redis.call('SET', KEYS[1], '1', 'PX', 1000)
return redis.call('DEL', KEYS[1])`;

const subject = "The Redis of the job queue (SKILL_RUNNER_QUEUE_URL)";
const isCluster = "is a Redis Cluster: use a Redis that is none, with replicas if it is to last";

/** What Redis says to a write that it does not take, and what is to be done. */
const refusals: readonly [RegExp, string][] = [
  [
    /\bREADONLY\b/,
    "is a replica, which takes no writes: name the primary (or an address that always leads to it)",
  ],
  [/\b(MOVED|ASK|CLUSTERDOWN|CROSSSLOT)\b/, isCluster],
  [/\bOOM\b/, 'has no memory left: raise its maxmemory, and leave maxmemory-policy at "noeviction"'],
  [/\bMISCONF\b/, "cannot save to its disk, and takes no writes: look at its log"],
  [/\b(NOREPLICAS|MASTERDOWN)\b/, "misses its other servers, and takes no writes: look at its log"],
  [/\b(NOAUTH|WRONGPASS)\b/, "wants another user or password: set them in the URL"],
  [/\bNOPERM\b/, "does not let this user write and run scripts: give it the rights (see ACL SETUSER)"],
];

function toldBy(info: string, name: string): string | null {
  return info.match(new RegExp(`^${name}:(.*?)\\r?$`, "m"))?.[1] ?? null;
}

/**
 * Finds out whether a Redis can hold the job queue, before jobs are let in that it then does not take.
 * @param base what the queue's keys begin with
 * @returns what the operator should change though it works, or null
 * @throws Error that says why it cannot, and what to do
 */
export async function checkRedis(redis: Redis, base: string): Promise<string | null> {
  await redis.eval(probe, 1, `${base}:probe`).catch((error: unknown) => {
    const said = error instanceof Error ? error.message : String(error);
    const why = refusals.find(([pattern]) => pattern.test(said))?.[1] ?? `does not run scripts: ${said}`;
    throw new Error(`${subject} ${why}.`, { cause: error });
  });
  // Not everybody may ask; what it takes is known by then.
  const info = await redis.info().catch(() => "");
  if (toldBy(info, "cluster_enabled") === "1") throw new Error(`${subject} ${isCluster}.`);
  const policy = toldBy(info, "maxmemory_policy");
  if (policy === null || policy === "noeviction") return null;
  return `The Redis of the job queue drops what it likes when its memory is full (maxmemory-policy ${policy}): jobs may be begun late or anew. Set it to "noeviction".`;
}
