import { expect, test } from "vitest";
import type { Engines } from "../agents/index.ts";
import type { JobQueue, LiveLog, RunChannel } from "../queue/index.ts";
import { createEventFeeds } from "./event-feed.ts";
import { createQueueAdmission } from "./queue-admission.ts";

const moved = () => Promise.reject(new Error("MOVED 1234 10.0.0.1:6379"));
const failed = { code: "STORAGE_FAILED", retryAfterSeconds: 5 };

test("a queue whose Redis refuses is a storage that failed, and no failure of the server", async () => {
  const engines: Partial<Engines> = {
    installed: async () => Promise.reject(new Error("not here")),
    assertSandboxed: async () => undefined,
  };
  const queue: Partial<JobQueue> = { isServed: moved, counts: moved };
  const admit = createQueueAdmission({ engines: engines as Engines }, queue as JobQueue, 10);
  await expect(admit("codex")).rejects.toMatchObject(failed);
  queue.isServed = async () => true;
  await expect(admit("codex")).rejects.toMatchObject(failed);
});

test("so is one that does not take the step of a job", async () => {
  const live: Partial<LiveLog> = { claim: moved };
  const channel: Partial<RunChannel> = {};
  const feeds = createEventFeeds({ live: live as LiveLog, channel: channel as RunChannel });
  await expect(feeds.claim("id", 1)).rejects.toMatchObject(failed);
});
