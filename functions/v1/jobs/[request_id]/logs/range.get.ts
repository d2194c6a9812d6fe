import { z } from "zod";
import { defineFunction } from "../../../../../runtime/function.ts";
import { requestId } from "../../../../_shared/schemas.ts";

const bytes = z.coerce.number().int().min(0);
const count = z.coerce.number().int().min(1).max(10_000).optional();

export default defineFunction({
  summary: "Bytes of what a job's agent printed",
  scope: "read",
  description:
    "At most 1 MiB; `byte_to` says how far it goes. An event's `raw_ref` names the bytes that it was read from. Without `turn`: the last one, of `attempt` if that is given.",
  tags: ["jobs"],
  params: requestId,
  query: z.strictObject({
    stream: z.enum(["stdout", "stderr", "pty"]).default("stdout"),
    byte_from: bytes.default(0),
    byte_to: bytes.optional().describe("The first byte that is not wanted any more."),
    turn: count,
    attempt: count,
  }),
  responses: {
    200: {
      description: "The piece, as text",
      schema: z.object({
        request_id: z.string(),
        stream: z.enum(["stdout", "stderr"]),
        turn: z.int(),
        byte_from: z.int(),
        byte_to: z.int(),
        bytes_total: z.int(),
        chunk: z.string(),
      }),
    },
  },
  errors: ["JOB_NOT_FOUND"],
  async handler({ params: { request_id }, query: { stream, byte_from, byte_to, turn, attempt }, services }) {
    const range = { stream, from: byte_from, to: byte_to, turn, attempt };
    return { request_id, ...(await services.runs.logRange(request_id, range)) };
  },
});
