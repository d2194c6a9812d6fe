import { z } from "zod";
import { runStatus } from "../../../lib/runs/index.ts";
import { defineFunction } from "../../../runtime/function.ts";
import { decodeCursor, encodeCursor } from "../../_shared/cursor.ts";
import { jobSummary } from "../../_shared/schemas.ts";

export default defineFunction({
  summary: "Jobs, newest first",
  scope: "read",
  description:
    "A page may hold fewer jobs than asked for and still have a next one, when a filter passes over many.",
  tags: ["jobs"],
  query: z.strictObject({
    limit: z.coerce.number().int().min(1).max(200).default(20),
    cursor: z.string().max(200).optional().describe("`next_cursor` of the page before."),
    status: runStatus.optional(),
    skill_id: z.string().max(200).optional(),
    engine: z.string().max(64).optional(),
  }),
  responses: {
    200: {
      description: "One page",
      schema: z.object({ jobs: z.array(jobSummary), next_cursor: z.string().nullable() }),
    },
  },
  errors: ["CURSOR_INVALID"],
  async handler({ query: { limit, cursor, ...filter }, services }) {
    const { jobs, next } = await services.runs.page({ limit, before: decodeCursor(cursor), filter });
    return { jobs, next_cursor: encodeCursor(next) };
  },
});
