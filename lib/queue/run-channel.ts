import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { z } from "zod";
import { isRefusal } from "./refusal.ts";
import { keepSubscribed } from "./subscriptions.ts";

const runNews = z.enum(["events", "changed", "stop"]);

/** `events`: its log has grown. `changed`: its record is another. `stop`: whoever carries it out is to stop. */
export type RunNews = z.infer<typeof runNews>;

/** How nodes tell each other of single runs: one Redis channel per run. */
export interface RunChannel {
  /**
   * Tells every node, this one too, that there is news of a run. Never rejects. While Redis is away it is kept and told
   * later. Told again before it was sent, it goes out once more, not as often as it was told.
   */
  tell(runId: string, news: RunNews): void;
  /**
   * Calls back for each news of the run, until the returned function is called. When the subscription begins to hold, and
   * after each reconnect, it is called with "changed" and "events": what came before may be lost. So whoever listens and
   * then reads misses nothing but a "stop", which the record must tell as well.
   */
  listen(runId: string, onNews: (news: RunNews) => void): () => void;
  /** Ends all listening, and what is not told is not told any more. The connections stay open. */
  close(): Promise<void>;
}

export interface RunChannelParts {
  publisher: Redis;
  /** For this channel alone: a connection that is subscribed takes no other commands. Wants `autoResubscribe: false`. */
  subscriber: Redis;
  /** What the names of channels begin with. */
  prefix: string;
  /** Told when Redis refuses to publish or subscribe, as its access rules may have it. */
  log?: { warn(fields: object, message: string): void };
}

const retryMs = 1000;

export function createRunChannel({ publisher, subscriber, prefix, log }: RunChannelParts): RunChannel {
  const channelOf = (runId: string) => `${prefix}run:${runId}`;
  const listeners = new Map<string, Set<(news: RunNews) => void>>();
  const closing = new AbortController();
  /** By channel and news: whether it is to be published once more. */
  const underWay = new Map<string, { again: boolean }>();

  let isTrouble = false;
  const subscriptions = keepSubscribed({
    subscriber,
    onHeld(channels) {
      isTrouble = false;
      for (const channel of channels) {
        pass(channel, "changed");
        pass(channel, "events");
      }
    },
    onTrouble(error) {
      if (!isTrouble) log?.warn({ err: error }, "Redis does not subscribe to news of runs: trying again");
      isTrouble = true;
    },
  });

  function pass(channel: string, news: RunNews) {
    const hearing = listeners.get(channel);
    // One of them may end another's listening.
    for (const onNews of [...(hearing ?? [])]) if (hearing?.has(onNews)) onNews(news);
  }

  const onMessage = (channel: string, text: string) => {
    // A newer node may tell what this one does not know.
    const { data: news } = runNews.safeParse(text);
    if (news !== undefined) pass(channel, news);
  };
  subscriber.on("message", onMessage);

  async function publish(channel: string, news: RunNews, state: { again: boolean }) {
    while (state.again && !closing.signal.aborted) {
      state.again = false;
      try {
        await publisher.publish(channel, news);
      } catch (error) {
        if (isRefusal(error)) log?.warn({ err: error, channel }, "Redis does not publish news of runs");
        else if (publisher.status !== "end") {
          state.again = true;
          await sleep(retryMs, undefined, { ref: false, signal: closing.signal }).catch(() => undefined);
        }
      }
    }
  }

  return {
    tell(runId, news) {
      const channel = channelOf(runId);
      const key = `${news} ${channel}`;
      const earlier = underWay.get(key);
      if (earlier !== undefined) earlier.again = true;
      else {
        const state = { again: true };
        underWay.set(key, state);
        void publish(channel, news, state).finally(() => underWay.delete(key));
      }
    },
    listen(runId, onNews) {
      const channel = channelOf(runId);
      // The same function may listen twice.
      const own = (news: RunNews) => onNews(news);
      const hearing = listeners.get(channel) ?? new Set();
      hearing.add(own);
      listeners.set(channel, hearing);
      if (!closing.signal.aborted) subscriptions.want(channel);
      return () => {
        if (!hearing.delete(own) || hearing.size > 0) return;
        if (listeners.get(channel) === hearing) listeners.delete(channel);
        subscriptions.drop(channel);
      };
    },
    async close() {
      closing.abort();
      listeners.clear();
      subscriber.off("message", onMessage);
      await subscriptions.close();
    },
  };
}
