import { z } from "zod";
import { chatBubble } from "../../../../../lib/runs/index.ts";
import { defineFunction } from "../../../../../runtime/function.ts";
import { requestId } from "../../../../_shared/schemas.ts";

const seq = z.coerce.number().int().min(1);

export default defineFunction({
  summary: "A job's conversation, bubble by bubble",
  scope: "read",
  tags: ["jobs"],
  params: requestId,
  query: z.strictObject({
    from_seq: seq.default(1),
    to_seq: seq.optional(),
    limit: z.coerce.number().int().min(1).max(1000).default(200),
  }),
  responses: {
    200: {
      description: "Bubbles in order; ask again from the last `seq` + 1",
      schema: z.object({ request_id: z.string(), count: z.int(), events: z.array(chatBubble) }),
    },
  },
  errors: ["JOB_NOT_FOUND"],
  async handler({ params: { request_id }, query: { from_seq, to_seq, limit }, services }) {
    const range = { from: from_seq, limit, ...(to_seq === undefined ? {} : { to: to_seq }) };
    const events = await services.runs.chat(request_id, range);
    return { request_id, count: events.length, events };
  },
});
