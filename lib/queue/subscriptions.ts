import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";

/** Channels that a connection is to be subscribed to. */
export interface Subscriptions {
  want(channel: string): void;
  drop(channel: string): void;
  close(): Promise<void>;
}

export interface SubscriptionParts {
  /** A connection for nothing but these subscriptions. */
  subscriber: Redis;
  /** Called when channels are subscribed, anew after each reconnect: what was published before may be lost. */
  onHeld(channels: readonly string[]): void;
  /** Called when the server did not subscribe or unsubscribe, though there is a connection; it is tried again. */
  onTrouble(error: unknown): void;
}

const retryMs = 1000;

/**
 * Brings the server's subscriptions in line with what is wanted, whenever either changes. ioredis can subscribe again by
 * itself after a reconnect, but does not tell when that holds, and a refusal of it is an unhandled rejection, which ends the
 * process: so it is done here, and `autoResubscribe` is better off.
 */
export function keepSubscribed({ subscriber, onHeld, onTrouble }: SubscriptionParts): Subscriptions {
  const wanted = new Set<string>();
  /** What the server may send us, on this connection or by ioredis's doing. */
  const asked = new Set<string>();
  /** What it has said yes to, on this connection. */
  const held = new Set<string>();
  const closing = new AbortController();
  /** Counts connections: an answer from an earlier one says nothing of this one. */
  let connection = 0;
  let isSettling = false;

  const onReady = () => {
    connection++;
    held.clear();
    isSettling = false;
    void settle();
  };
  subscriber.on("ready", onReady);

  async function settle() {
    if (closing.signal.aborted) return;
    if (subscriber.status === "wait") subscriber.connect().catch(() => undefined);
    if (isSettling) return;
    isSettling = true;
    const on = connection;
    const isCurrent = () => on === connection && !closing.signal.aborted;
    while (isCurrent() && subscriber.status === "ready") {
      const left = [...asked].filter((channel) => !wanted.has(channel));
      const missing = [...wanted].filter((channel) => !held.has(channel));
      if (left.length === 0 && missing.length === 0) break;
      try {
        await Promise.all([unsubscribe(left, isCurrent), subscribe(missing, isCurrent)]);
      } catch (error) {
        if (!isCurrent() || subscriber.status !== "ready") break;
        onTrouble(error);
        await sleep(retryMs, undefined, { ref: false, signal: closing.signal }).catch(() => undefined);
      }
    }
    if (isCurrent()) isSettling = false;
  }

  async function unsubscribe(channels: readonly string[], isCurrent: () => boolean) {
    if (channels.length === 0) return;
    for (const channel of channels) held.delete(channel);
    await subscriber.unsubscribe(...channels);
    if (isCurrent()) for (const channel of channels) asked.delete(channel);
  }

  async function subscribe(channels: readonly string[], isCurrent: () => boolean) {
    if (channels.length === 0) return;
    for (const channel of channels) asked.add(channel);
    await subscriber.subscribe(...channels);
    if (!isCurrent()) return;
    for (const channel of channels) held.add(channel);
    onHeld(channels);
  }

  return {
    want(channel) {
      wanted.add(channel);
      void settle();
    },
    drop(channel) {
      wanted.delete(channel);
      void settle();
    },
    async close() {
      closing.abort();
      subscriber.off("ready", onReady);
      if (subscriber.status === "ready" && asked.size > 0)
        await subscriber.unsubscribe(...asked).catch(() => undefined);
    },
  };
}
