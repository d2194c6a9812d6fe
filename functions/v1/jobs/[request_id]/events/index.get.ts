import { defineFunction } from "../../../../../runtime/function.ts";
import { streamDeclaration, streamJob } from "../../../../_shared/event-stream.ts";
import { frame } from "../../../../_shared/send-events.ts";

export default defineFunction({
  summary: "A job's events as they come (server-sent events)",
  scope: "read",
  description:
    "First `snapshot`, then `chat_event` for each event behind the cursor, with its `seq` as the id; `heartbeat` every 15 s of silence. Ends after the event that tells the job's end.",
  ...streamDeclaration,
  handler({ params: { request_id }, query: { cursor }, request, services: { runs } }) {
    return streamJob(request, runs, request_id, cursor, runs.follow, (line) => {
      line.frame ??= frame("chat_event", line.text, line.seq);
      return line.frame;
    });
  },
});
