import { z } from "zod";
import { RunnerError } from "../../lib/errors.ts";
import { isTerminal, type Runs } from "../../lib/runs/index.ts";
import { requestId } from "./schemas.ts";
import { eventStreamHeaders, frame, sendEvents } from "./send-events.ts";

const streamQuery = z.strictObject({
  cursor: z.coerce
    .number()
    .int()
    .min(0)
    .default(0)
    .describe("Events with a greater number are sent. The header Last-Event-ID wins."),
});

/** What a stream begins with. */
export const streamSnapshot = z
  .object({
    status: z.string(),
    cursor: z.int().describe("The number the stream starts behind."),
    pending_interaction_id: z.int().nullable(),
    pending_auth_session_id: z.string().nullable(),
  })
  .meta({ id: "StreamSnapshot" });

/** What both streams of a job declare alike. */
export const streamDeclaration = {
  tags: ["jobs"],
  params: requestId,
  query: streamQuery,
  responses: {
    200: { description: "The stream", mediaType: "text/event-stream" },
    204: { description: "The client has everything, and the job has ended: do not connect again" },
  },
  errors: ["JOB_NOT_FOUND" as const],
};

/** What of a job is followed, item by item. */
interface Followed<Item> {
  next(idleMs: number): Promise<readonly Item[] | null | "end">;
  close(): void;
}

/** Milliseconds after which a client that had nearly everything is sent the stream instead of being told that it had it all. */
const readMs = 10_000;

/**
 * Answers with a job's events, or with its chat, as they come: first the snapshot, then what is behind the cursor. A
 * client that had everything of a job that has ended, and connects again, is told by 204 to leave it at that.
 * @param follow opens what is followed, behind number `after`
 * @param frameOf the frame that one item is sent as
 * @throws RunnerError JOB_NOT_FOUND, REQUEST_INVALID
 */
export async function streamJob<Item>(
  request: Request,
  runs: Runs,
  id: string,
  cursor: number,
  follow: (id: string, after: number, signal: AbortSignal) => Promise<Followed<Item>>,
  frameOf: (item: Item) => Uint8Array,
): Promise<Response> {
  const again = lastEventId(request);
  const after = again ?? cursor;
  const { status, pending_interaction_id, pending_auth_session_id } = await runs.status(id);
  const gone = new AbortController();
  const followed = await follow(id, after, gone.signal);
  const next = async (idleMs: number) => {
    const items = await followed.next(idleMs);
    if (items === null || items === "end") return items;
    const frames = items.map(frameOf);
    // One that all followers share is sent as it is.
    return frames.length === 1 && frames[0] ? frames[0] : Buffer.concat(frames);
  };
  const close = () => {
    gone.abort();
    followed.close();
  };
  const failed = (error: unknown) => {
    close();
    throw error;
  };
  // The log of a job that has ended is whole: this reads, and waits for nothing.
  const first = again !== null && isTerminal(status) ? await next(readMs).catch(failed) : null;
  if (first === "end" || request.method === "HEAD") {
    close();
    return first === "end"
      ? new Response(null, { status: 204 })
      : new Response(null, { headers: eventStreamHeaders });
  }
  const snapshot = { status, cursor: after, pending_interaction_id, pending_auth_session_id };
  const begin = [frame("snapshot", JSON.stringify(snapshot))];
  if (first !== null) begin.push(first);
  return sendEvents(begin, { next, close });
}

/** The number of the last event that a client got before its connection broke; null: it connects for the first time. */
function lastEventId(request: Request): number | null {
  const header = request.headers.get("last-event-id")?.trim() ?? "";
  if (header === "") return null;
  if (/^\d{1,15}$/.test(header)) return Number(header);
  throw new RunnerError("REQUEST_INVALID", "The header Last-Event-ID cannot be used.", {
    issues: [{ pointer: "/header/last-event-id", message: "must be the number of an event" }],
  });
}
