import { defineFunction } from "../../../../../runtime/function.ts";
import { streamJob, streamQuery } from "../../../../_shared/event-stream.ts";
import { requestId } from "../../../../_shared/schemas.ts";
import { frame } from "../../../../_shared/send-events.ts";

export default defineFunction({
  summary: "A job's conversation as it goes (server-sent events)",
  description: "Like the stream of events, with one bubble of the chat in each `chat_event`.",
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
      const chat = await runs.followChat(request_id, after, signal);
      return {
        async next(idleMs) {
          const bubbles = await chat.next(idleMs);
          if (bubbles === null || bubbles === "end") return bubbles;
          return Buffer.concat(
            bubbles.map((bubble) => frame("chat_event", JSON.stringify(bubble), bubble.seq)),
          );
        },
        close: chat.close,
      };
    });
  },
});
