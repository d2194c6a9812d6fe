import { jsonLine } from "../../../../../lib/json.ts";
import { defineFunction } from "../../../../../runtime/function.ts";
import { streamDeclaration, streamJob } from "../../../../_shared/event-stream.ts";
import { frame } from "../../../../_shared/send-events.ts";

export default defineFunction({
  summary: "A job's conversation as it goes (server-sent events)",
  scope: "read",
  description: "Like the stream of events, with one bubble of the chat in each `chat_event`.",
  ...streamDeclaration,
  handler({ params: { request_id }, query: { cursor }, request, services: { runs } }) {
    return streamJob(request, runs, request_id, cursor, runs.followChat, (bubble) =>
      frame("chat_event", jsonLine(bubble), bubble.seq),
    );
  },
});
