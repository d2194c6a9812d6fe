import { z } from "zod";

const count = z.number().catch(0);
const usage = z
  .object({
    input_tokens: count,
    output_tokens: count,
    cache_read_input_tokens: count,
    cache_creation_input_tokens: count,
  })
  .catch({
    input_tokens: 0,
    output_tokens: 0,
    cache_read_input_tokens: 0,
    cache_creation_input_tokens: 0,
  });

export type TokenCounts = z.infer<typeof usage>;

/** A block of what a model says or is told. */
export const block = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text"), text: z.string() }),
  z.object({ type: z.literal("thinking"), thinking: z.string() }),
  z.object({ type: z.literal("tool_use"), id: z.string(), name: z.string(), input: z.unknown().optional() }),
  z.object({
    type: z.literal("tool_result"),
    tool_use_id: z.string(),
    content: z.unknown().optional(),
    is_error: z.boolean().catch(false),
  }),
]);
export type Block = z.infer<typeof block>;

const text = z.string().nullish().catch(null);
const result = z.object({
  type: z.literal("result"),
  subtype: z.string().catch(""),
  is_error: z.boolean().catch(false),
  result: text,
  errors: z.array(z.string()).catch([]),
  error: z.object({ message: z.string() }).nullish().catch(null),
  api_error_status: z.number().nullish().catch(null),
  total_cost_usd: z.number().nullish().catch(null),
  usage,
  structured_output: z.unknown().optional(),
  structured_result: z.unknown().optional(),
});
/** The line a turn ends with. */
export type ResultLine = z.infer<typeof result>;

/** The lines we read, as printed by claude 2.1.197 and qwen 0.15.10, which follows it. */
export const line = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("system"),
    subtype: z.string(),
    session_id: text,
    attempt: count,
    max_retries: count,
    error_status: z.number().nullish().catch(null),
    error: text,
  }),
  z.object({
    type: z.enum(["assistant", "user"]),
    message: z.object({ model: text, content: z.array(z.unknown()).catch([]), usage }),
    /** The call whose sub-agent says this, or null for the agent itself. */
    parent_tool_use_id: text,
    error: text,
  }),
  result,
]);
export type Line = z.infer<typeof line>;
