import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { createRunChannel, type RunNews } from "../../lib/queue/run-channel.ts";
import { redisConnection } from "./redis-connection.ts";
import { redisServer, type StorageServer } from "./servers.ts";

let server: StorageServer;
let admin: ReturnType<typeof redisConnection>;
beforeAll(async () => {
  server = await redisServer();
  admin = redisConnection(server.url);
});
afterAll(async () => {
  admin.disconnect();
  await server.remove();
});

const nodes: { leave(): Promise<void> }[] = [];
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.leave();
});

/** One node, with the connections of its own. */
function node(autoResubscribe = false) {
  const publisher = redisConnection(server.url);
  const subscriber = redisConnection(server.url, { autoResubscribe });
  const log = { warn: vi.fn() };
  const channel = createRunChannel({ publisher, subscriber, prefix: "nodes:", log });
  const leave = async () => {
    await channel.close();
    publisher.disconnect();
    subscriber.disconnect();
  };
  nodes.push({ leave });
  return { ...channel, log, subscriber };
}

/** Listens, and resolves when the subscription holds. What is heard from then on comes into `heard`. */
async function listening(channel: ReturnType<typeof node>, run: string) {
  const heard: RunNews[] = [];
  const end = channel.listen(run, (news) => heard.push(news));
  await expect.poll(() => heard).toEqual(["changed", "events"]);
  heard.length = 0;
  return { heard, end };
}

const until = { timeout: 20_000 };
const subscribers = async (run: string) => Number((await admin.pubsub("NUMSUB", `nodes:run:${run}`))[1]);
const published = async () =>
  Number(/cmdstat_publish:calls=(\d+)/.exec(await admin.info("commandstats"))?.[1] ?? 0);

test("every node hears news of the runs that it listens to, the one that tells too", async () => {
  const [one, two] = [node(), node()];
  const here = await listening(one, "A");
  const there = await listening(two, "A");
  const other = await listening(two, "B");
  one.tell("A", "stop");
  await expect.poll(() => [here.heard, there.heard]).toEqual([["stop"], ["stop"]]);
  two.tell("B", "changed");
  await expect.poll(() => other.heard).toEqual(["changed"]);
  expect(here.heard).toEqual(["stop"]);
});

test("a node is subscribed to a run as long as at least one listens there", async () => {
  const one = node();
  const first = await listening(one, "counted");
  const second: RunNews[] = [];
  const end = one.listen("counted", (news) => second.push(news));
  expect(await subscribers("counted")).toBe(1);
  first.end();
  first.end();
  one.tell("counted", "changed");
  await expect.poll(() => second).toEqual(["changed"]);
  expect(first.heard).toEqual([]);
  end();
  await expect.poll(() => subscribers("counted")).toBe(0);
  const again = await listening(one, "counted");
  one.tell("counted", "events");
  await expect.poll(() => again.heard).toEqual(["events"]);
});

test("who stops to listen and listens again at once is subscribed", async () => {
  const one = node();
  const { end } = await listening(one, "restless");
  end();
  const again = await listening(one, "restless");
  one.tell("restless", "stop");
  await expect.poll(() => again.heard).toEqual(["stop"]);
});

test("what is told a thousand times at once goes out twice, the last time after all of it", async () => {
  const [one, two] = [node(), node()];
  const { heard } = await listening(two, "busy");
  one.tell("busy", "changed");
  await expect.poll(() => heard).toEqual(["changed"]);
  const before = await published();
  for (let n = 0; n < 1000; n++) one.tell("busy", "events");
  one.tell("busy", "stop");
  await expect.poll(() => heard).toEqual(["changed", "events", "stop", "events"]);
  expect((await published()) - before).toBe(3);
});

test.each([false, true])(
  "a killed subscription is there again (autoResubscribe %s)",
  async (resubscribes) => {
    const [one, two] = [node(), node(resubscribes)];
    const { heard } = await listening(two, "killed");
    const { heard: second } = await listening(two, "killed-too");
    for (let round = 0; round < 5; round++) {
      heard.length = 0;
      second.length = 0;
      expect(await admin.client("KILL", "TYPE", "pubsub")).toBeGreaterThan(0);
      await expect.poll(() => heard, until).toEqual(["changed", "events"]);
      one.tell("killed", "stop");
      one.tell("killed-too", "changed");
      await expect.poll(() => heard).toEqual(["changed", "events", "stop"]);
      await expect.poll(() => second).toEqual(["changed", "events", "changed"]);
    }
  },
);

test("a killed publisher's news arrive", async () => {
  const [one, two] = [node(), node()];
  const { heard } = await listening(two, "A");
  one.tell("A", "changed");
  await expect.poll(() => heard).toEqual(["changed"]);
  await admin.client("KILL", "TYPE", "normal", "SKIPME", "yes");
  one.tell("A", "stop");
  await expect.poll(() => heard, until).toEqual(["changed", "stop"]);
});

test.each([false, true])("Redis goes and comes back (autoResubscribe %s)", async (resubscribes) => {
  const [one, two] = [node(), node(resubscribes)];
  const left = await listening(two, "left");
  const { heard } = await listening(two, "stayed");
  await server.kill();
  await expect.poll(() => two.subscriber.status).not.toBe("ready");
  left.end();
  const begun: RunNews[] = [];
  two.listen("begun", (news) => begun.push(news));
  // A node that starts now.
  const late: RunNews[] = [];
  node().listen("stayed", (news) => late.push(news));
  one.tell("stayed", "changed");
  expect(begun).toEqual([]);
  await server.start();
  for (const listener of [heard, begun, late])
    await expect.poll(() => listener, until).toEqual(expect.arrayContaining(["changed", "events"]));
  one.tell("stayed", "stop");
  one.tell("begun", "stop");
  for (const listener of [heard, begun, late])
    await expect.poll(() => listener, until).toEqual(expect.arrayContaining(["stop"]));
  await expect.poll(() => subscribers("left")).toBe(0);
  expect(left.heard).toEqual([]);
});

test("a Redis that refuses to subscribe is told of once, and asked again", async () => {
  await admin.call("ACL", "SETUSER", "default", "resetchannels");
  const one = node();
  const heard: RunNews[] = [];
  one.listen("refused", (news) => heard.push(news));
  await expect.poll(() => one.log.warn.mock.calls.length).toBe(1);
  one.tell("refused", "stop");
  await expect.poll(() => one.log.warn.mock.calls.length).toBe(2);
  expect(one.log.warn.mock.calls.map(([, message]) => message)).toEqual([
    "Redis does not subscribe to news of runs: trying again",
    "Redis does not publish news of runs",
  ]);
  await admin.call("ACL", "SETUSER", "default", "allchannels");
  await expect.poll(() => heard, until).toEqual(["changed", "events"]);
  expect(one.log.warn).toHaveBeenCalledTimes(2);
});

test("news of a newer node, that this one does not know, are not passed on", async () => {
  const one = node();
  const { heard } = await listening(one, "A");
  await admin.publish("nodes:run:A", "rebooted");
  one.tell("A", "stop");
  await expect.poll(() => heard).toEqual(["stop"]);
});

test("a channel that is closed hears nothing more and leaves no subscription", async () => {
  const [one, two] = [node(), node()];
  const closed = await listening(two, "A");
  const open = await listening(one, "A");
  await two.close();
  expect(await subscribers("A")).toBe(1);
  one.tell("A", "stop");
  await expect.poll(() => open.heard).toEqual(["stop"]);
  expect(closed.heard).toEqual([]);
});
