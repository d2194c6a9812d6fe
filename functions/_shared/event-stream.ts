import { z } from "zod";
import { RunnerError } from "../../lib/errors.ts";
import type { Runs } from "../../lib/runs/index.ts";
import { type EventSource, eventStreamHeaders, frame, sendEvents } from "./send-events.ts";

export const streamQuery = z.strictObject({
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

/** Milliseconds after which a client that had nearly everything is sent the stream instead of being told that it had it all. */
const readMs = 10_000;

/**
 * Answers with a job's events, or with its chat, as they come: first the snapshot, then what is behind the cursor. A
 * client that had everything of a job that has ended, and connects again, is told by 204 to leave it at that.
 * @throws RunnerError JOB_NOT_FOUND, REQUEST_INVALID
 */
export async function streamJob(
  request: Request,
  runs: Runs,
  id: string,
  cursor: number,
  open: (after: number, signal: AbortSignal) => Promise<Followed>,
): Promise<Response> {
  const again = lastEventId(request);
  const after = again ?? cursor;
  const { status, pending_interaction_id, pending_auth_session_id } = await runs.status(id);
  const gone = new AbortController();
  const followed = await open(after, gone.signal);
  const close = () => {
    gone.abort();
    followed.close();
  };
  const failed = (error: unknown) => {
    close();
    throw error;
  };
  const ended = status === "succeeded" || status === "failed" || status === "canceled";
  // The log of a job that has ended is whole: this reads, and waits for nothing.
  const first = again !== null && ended ? await followed.next(readMs).catch(failed) : null;
  if (first === "end" || request.method === "HEAD") {
    close();
    return first === "end"
      ? new Response(null, { status: 204 })
      : new Response(null, { headers: eventStreamHeaders });
  }
  const snapshot = { status, cursor: after, pending_interaction_id, pending_auth_session_id };
  const begin = [frame("snapshot", JSON.stringify(snapshot))];
  if (first !== null) begin.push(first);
  return sendEvents(begin, { next: followed.next, close });
}

export type Followed = EventSource;

/** The number of the last event that a client got before its connection broke; null: it connects for the first time. */
function lastEventId(request: Request): number | null {
  const header = request.headers.get("last-event-id")?.trim() ?? "";
  if (header === "") return null;
  if (/^\d{1,15}$/.test(header)) return Number(header);
  throw new RunnerError("REQUEST_INVALID", "The header Last-Event-ID cannot be used.", {
    issues: [{ pointer: "/header/last-event-id", message: "must be the number of an event" }],
  });
}
