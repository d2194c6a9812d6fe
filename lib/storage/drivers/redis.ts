import { Redis } from "ioredis";
import { enterDatabase } from "../../redis-url.ts";
import type { RecordDriver } from "../record-driver.ts";
import { changeScript, childrenScript, clearScript } from "./redis-scripts.ts";

export interface RedisOptions {
  /** `redis://` or `rediss://`, as ioredis takes it. */
  url: string;
  /** What every key begins with. In braces, so that a cluster keeps all of them in one slot. */
  prefix: string;
}

const connectTimeoutMs = 10_000;
const commandTimeoutMs = 15_000;

/**
 * Records in Redis 6.2 or newer, or what speaks its protocol and runs Lua scripts. unstorage's driver finds keys by looking
 * at every one of the database (SCAN): here an index beside the records (a sorted set read by ZRANGEBYLEX) keeps them in
 * order, and every change of both is one script, so it is whole.
 */
export function redisDriver({ url, prefix }: RedisOptions): RecordDriver {
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: connectTimeoutMs,
    commandTimeout: commandTimeoutMs,
    maxRetriesPerRequest: 3,
    // What was sent when the connection broke may have been done: the caller must know, not have it done twice.
    autoResendUnfulfilledCommands: false,
  });
  // A command that fails says no more than that there is no connection; without a listener ioredis prints why.
  let lost: unknown;
  client.on("error", (error: unknown) => {
    lost = error;
  });
  const base = `{${prefix}}:records`;
  const index = `{${prefix}}:index`;
  const at = (key: string) => `${base}:${key}`;
  const change: RecordDriver["change"] = async (changes) => {
    const keys = changes.map(({ key }) => at(key));
    const values = changes.flatMap(({ key, from, to }) => [key, ...optional(from), ...optional(to)]);
    return (await client.eval(changeScript, keys.length + 1, index, ...keys, ...values)) === 1;
  };
  const set = async (key: string, value: string | Uint8Array) => {
    const made = [key, "any", "", "is", typeof value === "string" ? value : Buffer.from(value)];
    await client.eval(changeScript, 2, index, at(key), ...made);
  };
  return {
    name: "redis",
    getInstance: () => client,
    async open() {
      await client.connect().catch((error: unknown) => {
        throw lost ?? error;
      });
      await enterDatabase(client);
      return adviceFor(client);
    },
    isPassing,
    change,
    hasItem: async (key) => (await client.exists(at(key))) === 1,
    getItem: (key) => client.get(at(key)),
    getItemRaw: (key) => client.getBuffer(at(key)),
    setItem: set,
    setItemRaw: set,
    async removeItem(key) {
      await change([{ key, to: null }]);
    },
    async children(prefix, { reverse = false, beyond = "", limit = 0 }) {
      const order = reverse ? "desc" : "asc";
      const names = await client.eval(childrenScript, 1, index, prefix, order, beyond, limit);
      return Array.isArray(names) ? names.map(String) : [];
    },
    async clearPrefix(prefix) {
      while ((await client.eval(clearScript, 1, index, base, `${prefix}:`)) !== 0);
    },
    async getKeys(prefix) {
      const members = await client.zrangebylex(index, "-", "+");
      return members.map((member) => member.replaceAll("!", ":")).filter((key) => key.startsWith(prefix));
    },
    clear: () => Promise.reject(new Error("not offered: it would take what others keep in this database")),
    dispose: () => client.disconnect(),
  };
}

/** As two arguments of a script: whether there is something, and what. */
function optional(value: string | null | undefined): [string, string] {
  if (value === undefined) return ["any", ""];
  return value === null ? ["none", ""] : ["is", value];
}

/** What makes this Redis lose records. A server that does not tell its settings gives no advice. */
async function adviceFor(client: Redis): Promise<string[]> {
  const settings = new Map<string, string>();
  for (const name of ["appendonly", "appendfsync", "maxmemory-policy"]) {
    const answer: unknown = await client.config("GET", name).catch(() => null);
    if (Array.isArray(answer)) settings.set(name, String(answer[1]));
  }
  const advice: string[] = [];
  if (settings.get("appendonly") === "no")
    advice.push("Redis keeps no append-only file: what was written last is lost with it (appendonly yes)");
  else if (settings.has("appendfsync") && settings.get("appendfsync") !== "always")
    advice.push("Redis syncs now and then: a power cut loses the last second (appendfsync always)");
  const policy = settings.get("maxmemory-policy");
  if (policy !== undefined && policy !== "noeviction")
    advice.push(
      `Redis removes records when its memory is full (maxmemory-policy ${policy}, wants noeviction)`,
    );
  return advice;
}

/** Words with which a server refuses everything for the moment; what is no reply at all did not come from it. */
function isPassing(error: unknown): boolean {
  return (
    !(error instanceof Error && error.name === "ReplyError") ||
    /^-?(LOADING|READONLY|MASTERDOWN|OOM|BUSY|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|MISCONF)/.test(error.message)
  );
}
