import { RunnerError } from "../errors.ts";
import { isFenceHeld, type LiveLog, type RunChannel } from "../queue/index.ts";
import type { WrittenLine } from "./event-log.ts";
import { RunTaken } from "./run-store.ts";

/** Tells those who follow a run's log what was just written to it. */
export interface EventFeeds {
  /**
   * Says that this server writes the log of a run from now on, where several could.
   * @param fence greater than that of whoever wrote it before
   * @returns takes it back
   */
  claim(runId: string, fence: number): Promise<() => void>;
  /** Lines that are in the file now, in order. */
  publish(runId: string, lines: readonly WrittenLine[], fence: number): void;
  /** @param signal its abort ends the follower's wait */
  join(runId: string, signal: AbortSignal): Membership;
  /** Sends everybody away who follows a run, as it was deleted; without an id everybody, for good. */
  dismiss(runId?: string): void;
}

/** One follower's place at a feed. It holds nothing of its own but what it asks for. */
export interface Membership {
  /** Changes with every publication: ask before you look at the file, then wait for more than that. */
  readonly version: number;
  readonly dismissed: boolean;
  /** The run's end was published: nothing comes after it. */
  readonly over: boolean;
  /** Lines behind `seq`, as many as `maxBytes` allow; null when the feed does not go back that far, or has had none yet. */
  linesAfter(seq: number, maxBytes: number): readonly WrittenLine[] | null;
  /**
   * Resolves with true when more was published than at `version`, the follower is sent away, or the signal aborts; with
   * false after `ms`. One wait at a time.
   */
  more(version: number, ms: number): Promise<boolean>;
  leave(): void;
}

/** What a feed remembers for all its followers together; who is slower reads on in the file. */
const keptLines = 512;
const keptBytes = 1024 * 1024;

interface Feed {
  followers: Set<Wait>;
  version: number;
  dismissed: boolean;
  over: boolean;
  lines: WrittenLine[];
  bytes: number;
}

/** Where feeds of several servers meet. */
export interface OtherFeeds {
  live: LiveLog;
  channel: RunChannel;
}

/**
 * Feeds live while somebody follows: a run nobody looks at costs nothing.
 * @param others there are other servers, whose runs are followed here and the other way round
 */
export function createEventFeeds(others?: OtherFeeds): EventFeeds {
  /** How often a run is held here. */
  const ours = new Map<string, number>();
  const feeds = new Map<string, Feed>();
  let closed = false;

  function remember(feed: Feed, lines: readonly WrittenLine[]): void {
    for (const line of lines) {
      feed.lines.push(line);
      feed.bytes += line.text.length;
      feed.over ||= line.last;
    }
    let dropped = 0;
    while (
      feed.lines.length - dropped > keptLines ||
      (feed.bytes > keptBytes && dropped < feed.lines.length)
    ) {
      feed.bytes -= feed.lines[dropped]?.text.length ?? 0;
      dropped += 1;
    }
    if (dropped > 0) feed.lines.splice(0, dropped);
  }

  // What is told elsewhere is read from the log: what the feed remembers ends before it.
  function nudge(runId: string, feed: Feed): void {
    if (ours.has(runId)) return;
    feed.lines = [];
    feed.bytes = 0;
    wake(feed);
  }

  function wake(feed: Feed): void {
    feed.version += 1;
    for (const wait of feed.followers) wait.end(true);
  }

  return {
    async claim(runId, fence) {
      if (others === undefined) return () => undefined;
      await others.live.claim(runId, fence).catch((error: unknown) => {
        if (isFenceHeld(error)) throw new RunTaken();
        const message = "The job queue does not take this step of the job. Try again in a moment.";
        throw new RunnerError("STORAGE_FAILED", message, { retryAfterSeconds: 5, cause: error });
      });
      ours.set(runId, (ours.get(runId) ?? 0) + 1);
      return () => {
        const left = (ours.get(runId) ?? 1) - 1;
        if (left === 0) ours.delete(runId);
        else ours.set(runId, left);
      };
    },
    publish(runId, lines, fence) {
      if (others !== undefined) {
        others.live.append(runId, fence, lines);
        if (lines.some(({ last }) => last)) others.live.end(runId, fence);
      }
      const feed = feeds.get(runId);
      if (feed === undefined) return;
      remember(feed, lines);
      wake(feed);
    },
    join(runId, signal) {
      const feed = feeds.get(runId) ?? {
        followers: new Set(),
        version: 0,
        dismissed: closed,
        over: false,
        lines: [],
        bytes: 0,
      };
      feeds.set(runId, feed);
      const wait = createWait(signal);
      feed.followers.add(wait);
      const unlisten = others?.channel.listen(runId, () => nudge(runId, feed));
      return {
        get version() {
          return feed.version;
        },
        get dismissed() {
          return feed.dismissed;
        },
        get over() {
          return feed.over;
        },
        linesAfter: (seq, maxBytes) => linesAfter(feed.lines, seq, maxBytes),
        more: (version, ms) =>
          feed.version !== version || feed.dismissed || signal.aborted
            ? Promise.resolve(true)
            : wait.begin(ms),
        leave() {
          unlisten?.();
          wait.close();
          feed.followers.delete(wait);
          if (feed.followers.size === 0 && feeds.get(runId) === feed) feeds.delete(runId);
        },
      };
    },
    dismiss(runId) {
      closed ||= runId === undefined;
      for (const [id, feed] of [...feeds]) {
        if (runId !== undefined && id !== runId) continue;
        feed.dismissed = true;
        feeds.delete(id);
        wake(feed);
      }
    },
  };
}

/** A wait that can be made again and again. */
interface Wait {
  /** Resolves with what `end` is called with; with false after `ms`. */
  begin(ms: number): Promise<boolean>;
  /** Does nothing when nobody waits. */
  end(came: boolean): void;
  close(): void;
}

/** One timer and one listener serve all of a follower's waits: with many followers, new ones for each would be dear. */
function createWait(signal: AbortSignal): Wait {
  let resolve: ((came: boolean) => void) | null = null;
  let timer: { ms: number; timeout: NodeJS.Timeout } | null = null;
  const end = (came: boolean) => {
    const told = resolve;
    resolve = null;
    told?.(came);
  };
  const onAbort = () => end(true);
  signal.addEventListener("abort", onAbort, { once: true });
  return {
    begin(ms) {
      if (timer?.ms === ms) timer.timeout.refresh();
      else {
        clearTimeout(timer?.timeout);
        timer = { ms, timeout: setTimeout(() => end(false), ms) };
      }
      return new Promise((told) => {
        resolve = told;
      });
    },
    end,
    close() {
      clearTimeout(timer?.timeout);
      signal.removeEventListener("abort", onAbort);
      end(true);
    },
  };
}

function linesAfter(
  lines: readonly WrittenLine[],
  seq: number,
  maxBytes: number,
): readonly WrittenLine[] | null {
  const [first] = lines;
  if (first === undefined || first.seq > seq + 1) return null;
  // Numbers are contiguous, so the place follows from the first one.
  const from = seq + 1 - first.seq;
  let to = from;
  for (let bytes = 0; to < lines.length && bytes < maxBytes; to++) bytes += lines[to]?.text.length ?? 0;
  return lines.slice(from, to);
}
