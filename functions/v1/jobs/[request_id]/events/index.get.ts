import { defineFunction } from "../../../../../runtime/function.ts";
import { streamJob, streamQuery } from "../../../../_shared/event-stream.ts";
import { requestId } from "../../../../_shared/schemas.ts";
import { frame } from "../../../../_shared/send-events.ts";

export default defineFunction({
  summary: "A job's events as they come (server-sent events)",
  description:
    "First `snapshot`, then `chat_event` for each event behind the cursor, with its `seq` as the id; `heartbeat` every 15 s of silence. Ends after the event that tells the job's end.",
  tags: ["jobs"],
  params: requestId,
  query: streamQuery,
  responses: {
    200: { description: "The stream", mediaType: "text/event-stream" },
    204: { description: "The client has everything, and the job has ended: do not connect again" },
  },
  errors: ["JOB_NOT_FOUND"],
  handler({ params: { request_id }, query: { cursor }, request, services: { runs } }) {
    return streamJob(request, runs, request_id, cursor, async (after, signal) => {
      const follower = await runs.follow(request_id, after, signal);
      return {
        async next(idleMs) {
          const lines = await follower.next(idleMs);
          if (lines === null || lines === "end") return lines;
          const frames = lines.map((line) => {
            line.frame ??= frame("chat_event", line.text, line.seq);
            return line.frame;
          });
          return frames.length === 1 && frames[0] ? frames[0] : Buffer.concat(frames);
        },
        close: follower.close,
      };
    });
  },
});
