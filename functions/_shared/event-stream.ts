import { z } from "zod";
import { RunnerError } from "../../lib/errors.ts";
import type { Runs } from "../../lib/runs/index.ts";
import { type EventSource, frame, sendEvents } from "./send-events.ts";

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
  const ended = status === "succeeded" || status === "failed" || status === "canceled";
  const first = again !== null && ended ? await followed.next(0) : null;
  if (request.method === "HEAD" || (again !== null && first === "end")) {
    close();
    return new Response(null, { status: first === "end" ? 204 : 200 });
  }
  const snapshot = { status, cursor: after, pending_interaction_id, pending_auth_session_id };
  const begin = [frame("snapshot", JSON.stringify(snapshot))];
  if (first !== null && first !== "end") begin.push(first);
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
