import { z } from "zod";
import { runEvent } from "../../../../../lib/runs/index.ts";
import { defineFunction } from "../../../../../runtime/function.ts";
import { requestId } from "../../../../_shared/schemas.ts";

const seq = z.coerce.number().int().min(1);

export default defineFunction({
  summary: "A job's event log, by sequence number",
  scope: "read",
  tags: ["jobs"],
  params: requestId,
  query: z.strictObject({
    from_seq: seq.default(1),
    to_seq: seq.optional(),
    from_ts: z.iso.datetime().optional().describe("Events told then or later."),
    to_ts: z.iso.datetime().optional().describe("Events told then or earlier."),
    limit: z.coerce.number().int().min(1).max(1000).default(200),
  }),
  responses: {
    200: {
      description: "Events in order; ask again from the last `seq` + 1",
      schema: z.object({
        request_id: z.string(),
        count: z.int(),
        events: z.array(runEvent),
        source: z
          .enum(["pre_observable", "live", "history"])
          .describe("Nothing was told yet; there may be more; that is all."),
        cursor_floor: z.int().describe("Number of the first event there is, or 0."),
        cursor_ceiling: z.int().describe("Number of the last event there is, or 0."),
      }),
    },
  },
  errors: ["JOB_NOT_FOUND"],
  async handler({ params: { request_id }, query: { from_seq, to_seq, from_ts, to_ts, limit }, services }) {
    const range = { from: from_seq, to: to_seq, fromTime: from_ts, toTime: to_ts, limit };
    return { request_id, ...(await services.runs.events(request_id, range)) };
  },
});
