import { checkCredentials } from "./credentials-in-url.ts";

const name = /^[\w.-]{1,100}$/;

/** A Redis, and what every key in it begins with. */
export interface RedisPlace {
  url: string;
  prefix: string;
}

/**
 * Reads the prefix out of a URL that can be parsed: `?prefix=name`, "skill-runner" unless given.
 * @throws Error for a bad prefix, a database that is no number, or credentials that are not encoded
 */
export function readRedisUrl(text: string): RedisPlace {
  const url = new URL(text);
  checkCredentials(url);
  // ioredis takes the database from the query, too.
  for (const database of [url.pathname.replace(/^\//, ""), url.searchParams.get("db") ?? ""])
    if (!/^\d*$/.test(database))
      throw new Error(
        "what follows the host of a redis URL is the number of a database, as in redis://host:6379/0; ?prefix=name keeps several apart in one",
      );
  const prefix = url.searchParams.get("prefix") ?? "skill-runner";
  if (!name.test(prefix)) throw new Error("the prefix of a redis URL is made of letters, digits, _, . and -");
  // ioredis takes what is in the query for options of its own.
  url.searchParams.delete("prefix");
  return { url: url.href, prefix };
}

/** As much of an ioredis client as is needed to see where it is. */
interface Selecting {
  options: { db?: number | undefined };
  select(database: number): Promise<unknown>;
}

/**
 * Sees that a client is in the database of its URL. When Redis refuses that one, ioredis tells its error listeners and goes on
 * in database 0.
 * @throws Error with what to do
 */
export async function enterDatabase(client: Selecting): Promise<void> {
  const { db = 0 } = client.options;
  // In a cluster there is only this one.
  if (db === 0) return;
  try {
    await client.select(db);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `Redis does not give its database ${db} (${reason}). It has as many as its setting "databases" says, counted from 0, and a cluster has one: take another, or ?prefix=name to keep several apart in one.`,
      { cause: error },
    );
  }
}
