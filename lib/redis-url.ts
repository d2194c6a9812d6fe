const name = /^[\w.-]{1,100}$/;

/** A Redis, and what every key in it begins with. */
export interface RedisPlace {
  url: string;
  prefix: string;
}

/** Reads the prefix out of a URL that can be parsed: `?prefix=name`, "skill-runner" unless given. @throws Error for a bad prefix */
export function readRedisUrl(text: string): RedisPlace {
  const url = new URL(text);
  const prefix = url.searchParams.get("prefix") ?? "skill-runner";
  if (!name.test(prefix)) throw new Error("the prefix of a redis URL is made of letters, digits, _, . and -");
  // ioredis takes what is in the query for options of its own.
  url.searchParams.delete("prefix");
  return { url: url.href, prefix };
}
