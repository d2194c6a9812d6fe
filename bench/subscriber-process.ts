import { createInterface } from "node:readline";
import { startNode, stop } from "./server-process.ts";

export interface SubscriberOrder {
  host: string;
  port: number;
  path: string;
  count: number;
  /** False: they take nothing any more once the stream has begun. */
  reads: boolean;
}

/** What subscribers heard, all together. */
export interface Heard {
  /** Lines of the talker, over all subscribers. */
  lines: number;
  fewestEvents: number;
  mostEvents: number;
  medianMs: number;
  p99Ms: number;
  mostMs: number;
}

export interface Subscribers {
  /** What they heard, when all their streams have ended. */
  heard(): Promise<Heard>;
  stop(): Promise<void>;
}

/** Starts subscribers in a process of their own; resolves when each one's stream has begun. */
export async function startSubscribers(
  program: string,
  url: string,
  order: Pick<SubscriberOrder, "count" | "reads">,
): Promise<Subscribers> {
  const { hostname: host, port, pathname: path } = new URL(url);
  const full: SubscriberOrder = { host, port: Number(port), path, ...order };
  const child = startNode(program, [JSON.stringify(full)], { stdio: ["ignore", "pipe", "inherit"] });
  if (child.stdout === null) throw new Error("the subscribers have no output");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done) throw new Error("the subscribers ended before their streams did");
    return value;
  };
  await next();
  return {
    heard: async () => JSON.parse(await next()),
    stop: () => stop(child),
  };
}
