import { z } from "zod";

/** What an agent may ask for. The last two are the reference system's; an agent of ours is not told of them. */
export const interactionKind = z.enum([
  "open_text",
  "choose_one",
  "confirm",
  "upload_files",
  "fill_fields",
  "risk_ack",
]);
export type InteractionKind = z.infer<typeof interactionKind>;

/** A question that a run waits for the answer of. */
export const pendingInteraction = z.object({
  interaction_id: z.int().describe("Counts from 1 over the whole job; a reply names it."),
  kind: interactionKind,
  prompt: z.string(),
  options: z.array(z.object({ label: z.string(), value: z.unknown() })),
  ui_hints: z.record(z.string(), z.unknown()).describe("As the agent gave them; `files` names upload slots."),
  default_decision_policy: z.literal("engine_judgement"),
  required_fields: z.array(z.string()),
  context: z.record(z.string(), z.unknown()).nullable(),
  source_attempt: z.int(),
  created_at: z.string(),
  expires_at: z.string().nullable().describe("When the agent is told to decide by itself; null: never."),
});
export type PendingInteraction = z.infer<typeof pendingInteraction>;

/** One file of a reply, as everybody may see it. */
export const replyFile = z.object({ slot: z.string(), name: z.string(), bytes: z.int() });
export type ReplyFile = z.infer<typeof replyFile>;
