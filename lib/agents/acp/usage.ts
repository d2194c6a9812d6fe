import { z } from "zod";
import type { Usage } from "../events.ts";

const count = z.number().nullish().catch(null);

/** Counts as the protocol names them (`usage` of the answer to a prompt; not yet stable in 1.0). */
const tokens = z.object({
  inputTokens: z.number(),
  outputTokens: z.number(),
  totalTokens: count,
  thoughtTokens: count,
  cachedReadTokens: count,
  cachedWriteTokens: count,
});

/** What qwen 0.15 adds to an empty message after each model call. */
const stepMeta = z.object({ usage: tokens });
/** What gemini 0.61 adds to the answer of a prompt. */
const quotaMeta = z.object({
  quota: z.object({ token_count: z.object({ input_tokens: z.number(), output_tokens: z.number() }) }),
});

/** Counts of one model call, from the `_meta` of a message chunk; null when there are none. */
export function stepUsage(meta: unknown): Usage | null {
  const found = stepMeta.safeParse(meta);
  return found.success ? toUsage(found.data.usage) : null;
}

/** Counts of a whole turn, from the answer to its prompt; null when there are none. */
export function promptUsage(answer: { usage?: unknown; _meta?: unknown }): Usage | null {
  const standard = tokens.safeParse(answer.usage);
  if (standard.success) return toUsage(standard.data);
  const quota = quotaMeta.safeParse(answer._meta);
  if (!quota.success) return null;
  const { input_tokens, output_tokens } = quota.data.quota.token_count;
  return { input_tokens, cached_input_tokens: 0, output_tokens, reasoning_output_tokens: 0, cost_usd: null };
}

function toUsage(told: z.infer<typeof tokens>): Usage {
  const cached = told.cachedReadTokens ?? 0;
  const written = told.cachedWriteTokens ?? 0;
  const thought = told.thoughtTokens ?? 0;
  // Some count cached and thought tokens among the others, some beside them; the total says which.
  const beside = told.totalTokens === told.inputTokens + told.outputTokens + cached + written + thought;
  return {
    input_tokens: told.inputTokens + (beside ? cached + written : 0),
    cached_input_tokens: cached,
    output_tokens: told.outputTokens + (beside ? thought : 0),
    reasoning_output_tokens: thought,
    cost_usd: null,
  };
}
