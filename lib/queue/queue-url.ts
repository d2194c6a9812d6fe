/** Where the job queue lies, as a URL said it. */
export interface QueuePlace {
  url: string;
  prefix: string;
}

const name = /^[\w.-]{1,100}$/;

/** Reads `redis://host:6379/0?prefix=name`. @throws Error whose message never holds the URL: it may hold a password */
export function parseQueueUrl(text: string): QueuePlace {
  if (!/^rediss?:/.test(text) || !URL.canParse(text))
    throw new Error('a job queue lies in Redis: use "redis://host:6379/0" or "rediss://..."');
  const url = new URL(text);
  const prefix = url.searchParams.get("prefix") ?? "skill-runner";
  if (!name.test(prefix)) throw new Error("the prefix of a redis URL is made of letters, digits, _, . and -");
  // ioredis takes what is in the query for options of its own.
  url.searchParams.delete("prefix");
  return { url: url.href, prefix };
}
