import { afterAll, beforeAll, expect, test } from "vitest";
import { openQueue, parseQueueUrl } from "../../lib/queue/index.ts";
import { openStorage, parseStorageUrl } from "../../lib/storage/index.ts";
import { redisConnection } from "./redis-connection.ts";
import { redisServer, type StorageServer } from "./servers.ts";

let server: StorageServer;
beforeAll(async () => {
  server = await redisServer();
});
afterAll(() => server.remove());

const at = (database: string) => server.url.replace(/\/0$/, `/${database}`);
const open = (url: string) => openStorage(parseStorageUrl(url), "/nowhere");
const connect = (url: string) =>
  openQueue({
    ...parseQueueUrl(url),
    node: "one",
    engines: [],
    limits: { engines: new Map(), skills: new Map() },
    leaseMs: 30_000,
    log: { warn() {} },
  });

test.each(["20", "?db=20"])(
  "a database that Redis does not have keeps a server from starting: /%s",
  async (database) => {
    const refusal = /cannot be used: Redis does not give its database 20 \(ERR .*\?prefix=name/;
    await expect(open(at(database))).rejects.toThrow(refusal);
    await expect(connect(at(database))).rejects.toThrow(refusal);
  },
);

test("the database that a URL names is the one that is used, also after Redis was away", async () => {
  const { records } = await open(at("1"));
  await records.write("a:b", { n: 1 });
  await server.stop();
  await server.start();
  await expect
    .poll(
      () =>
        records.write("a:c", { n: 1 }).then(
          () => "written",
          () => "away",
        ),
      { timeout: 20_000 },
    )
    .toBe("written");
  await records.close();
  const sizes: number[] = [];
  for (const database of ["0", "1"]) {
    const client = redisConnection(at(database));
    await client.connect();
    sizes.push(await client.dbsize());
    client.disconnect();
  }
  // Two records and their index.
  expect(sizes).toEqual([0, 3]);
  const queue = await connect(at("1"));
  await queue.close();
});
