import { z } from "zod";
import { loginNews } from "./auth-challenge.ts";
import { pendingInteraction, replyFile } from "./interaction.ts";
import { resources, runError, runWarning, usage } from "./record.ts";
import { runStatus } from "./transitions.ts";

const text = { text: z.string(), truncated: z.boolean().optional() };
const tool = { call_id: z.string(), tool: z.string(), truncated: z.boolean().optional() };
const toolUse = z.discriminatedUnion("phase", [
  z.object({ phase: z.literal("started"), ...tool, input: z.unknown() }),
  z.object({
    phase: z.literal("completed"),
    ...tool,
    text: z.string(),
    exit_code: z.number().nullable(),
    failed: z.boolean(),
  }),
]);
const issue = z.object({ pointer: z.string(), message: z.string(), code: z.string().optional() });

/** A change of status; of the last one, all that the record needs to be made again. */
export const stateChange = z.object({
  from: runStatus,
  to: runStatus,
  trigger: z.string(),
  /** How many changes the job has had, this one included. Tells whether a record or its log is ahead after a crash. */
  revision: z.int(),
  updated_at: z.string(),
  pending_interaction_id: z.int().nullable(),
  pending_auth_session_id: z.string().nullable(),
  terminal: z
    .object({
      status: runStatus,
      reason_code: z.string().nullable(),
      error: runError.nullable(),
      diagnostics: z.array(runWarning),
      turns: z.int(),
      usage: usage.nullable(),
      resources: resources.nullable(),
    })
    .optional(),
});
export type StateChange = z.infer<typeof stateChange>;

/** Every type of event a run's log may hold, with the shape of its `data`: the public protocol FCMP/1.0. */
export const eventData = {
  "conversation.state.changed": stateChange,
  "assistant.message.intermediate": z.object({ ...text, delta: z.boolean() }),
  "assistant.message.final": z.object(text),
  "assistant.message.superseded": z.object({ reason: z.string() }),
  "assistant.reasoning": z.object(text),
  "assistant.tool_call": toolUse,
  "assistant.command_execution": toolUse,
  "user.input.required": pendingInteraction,
  "interaction.reply.accepted": z.object({
    interaction_id: z.int(),
    response: z.unknown(),
    files: z.array(replyFile),
  }),
  "interaction.auto_decide.timeout": z.object({ interaction_id: z.int() }),
  "auth.required": loginNews,
  "auth.challenge.updated": loginNews,
  "auth.input.accepted": z.object({ auth_session_id: z.string(), kind: z.string() }),
  "auth.completed": z.object({ auth_session_id: z.string(), method: z.string().nullable() }),
  "auth.failed": z.object({ auth_session_id: z.string(), error: z.string() }),
  "diagnostic.output_repair.started": z.object({ round: z.int(), issues: z.array(issue) }),
  "diagnostic.warning": z.object({ code: z.string(), message: z.string(), kind: z.string().optional() }),
  "raw.stdout": z.object(text),
  "raw.stderr": z.object(text),
} as const;

export type EventType = keyof typeof eventData;

/** An event as it is told: its type with the data that belongs to it. */
export type ToldEvent = {
  [Type in EventType]: { type: Type; data: z.infer<(typeof eventData)[Type]> };
}[EventType];

function isEventType(type: string): type is EventType {
  return Object.hasOwn(eventData, type);
}

/** Whether an event that was read back is one of those: of a known type, with the data that belongs to it. */
export function isTold(event: { type: string; data: unknown }): event is ToldEvent {
  return isEventType(event.type) && eventData[event.type].safeParse(event.data).success;
}
