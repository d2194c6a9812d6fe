import { z } from "zod";
import { parseJson } from "../json.ts";
import { agentCodes, shown } from "./agent-events.ts";
import { type RunEvent, runEvent, type WrittenLine } from "./event-log.ts";
import { createEventReader } from "./event-reader.ts";
import { isTold, type StateChange, type ToldEvent } from "./event-types.ts";
import type { Follower } from "./follow.ts";

/** One bubble of a job's conversation, as a chat view shows it. */
export const chatBubble = z.object({
  protocol_version: z.literal("chat-replay/1.0"),
  run_id: z.string(),
  seq: z.int().describe("Contiguous from 1 over the whole job; not the number of an event."),
  created_at: z.string(),
  attempt: z.int(),
  role: z.enum(["user", "assistant", "system"]),
  kind: z.enum([
    "interaction_reply",
    "auth_submission",
    "assistant_process",
    "assistant_message",
    "assistant_final",
    "assistant_revision",
    "orchestration_notice",
  ]),
  text: z.string(),
  correlation: runEvent.shape.correlation,
});
export type ChatBubble = z.infer<typeof chatBubble>;

type Said = Pick<ChatBubble, "role" | "kind" | "text">;

/** Most of a command or a tool's input that a bubble shows, in characters. */
const maxCommand = 300;
/** Bytes of the log that are read in one go. */
const pieceBytes = 256 * 1024;

/**
 * Turns a run's events into bubbles, one event after the other from the first one: the same log gives the same bubbles.
 * The agent's last message is held back until it is known what it was: the result, a question (both have bubbles of
 * their own), an answer that was sent back, or just talk.
 */
export function createChat(): (event: RunEvent) => ChatBubble[] {
  let seq = 0;
  let held: { event: RunEvent; text: string; isOver: boolean } | null = null;
  const bubble = (event: RunEvent, said: Said): ChatBubble => {
    seq += 1;
    return {
      protocol_version: "chat-replay/1.0",
      run_id: event.run_id,
      seq,
      created_at: event.ts,
      attempt: event.meta.attempt,
      ...said,
      correlation: event.correlation,
    };
  };
  const release = (kind: "assistant_process" | "assistant_revision"): ChatBubble[] => {
    if (held === null) return [];
    const { event, text } = held;
    held = null;
    return [bubble(event, { role: "assistant", kind, text })];
  };
  return (event) => {
    const told: { type: string; data: unknown } = { type: event.type, data: event.data };
    if (!isTold(told)) return [];
    if (held !== null && endsMessage(told)) held = { ...held, isOver: true };
    if (isAside(told.type)) return [];
    if (told.type === "assistant.message.intermediate") {
      const { text, delta } = told.data;
      if (delta && held?.isOver === false) {
        held = { ...held, text: shown(held.text + text).text };
        return [];
      }
      const before = release("assistant_process");
      held = { event, text, isOver: false };
      return before;
    }
    if (told.type === "assistant.message.superseded") return release("assistant_revision");
    if (told.type === "assistant.message.final" || told.type === "user.input.required") held = null;
    const before = release("assistant_process");
    const said = saidBy(told, event.meta.attempt);
    return said === null ? before : [...before, bubble(event, said)];
  };
}

/** What the agent said beside its message: what it says after that is another one, and may be the second half of a secret. */
function endsMessage(told: ToldEvent): boolean {
  return told.type === "diagnostic.warning" && agentCodes.includes(told.data.code);
}

/** What stands between a message and what becomes of it without meaning anything for it. */
function isAside(type: ToldEvent["type"]): boolean {
  return type.startsWith("raw.") || type.startsWith("diagnostic.");
}

function saidBy(told: ToldEvent, attempt: number): Said | null {
  const assistant = (kind: Said["kind"], text: string): Said => ({ role: "assistant", kind, text });
  switch (told.type) {
    case "assistant.message.final":
      return assistant("assistant_final", told.data.text);
    case "assistant.reasoning":
      return assistant("assistant_process", told.data.text);
    case "assistant.command_execution":
    case "assistant.tool_call":
      return told.data.phase === "started"
        ? assistant("assistant_process", `${told.data.tool}: ${shownInput(told.data.input)}`)
        : null;
    case "user.input.required":
      return assistant("assistant_message", told.data.prompt);
    case "interaction.reply.accepted": {
      const { response, files } = told.data;
      const text =
        typeof response === "string" ? response : response === null ? "" : JSON.stringify(response);
      const parts = [text, ...files.map(({ name }) => `[${name}]`)].filter((part) => part !== "");
      return { role: "user", kind: "interaction_reply", text: parts.join("\n") };
    }
    case "interaction.auto_decide.timeout":
      return notice("Nobody answered in time: the agent decides by itself.");
    case "auth.required":
      return notice(told.data.prompt);
    case "auth.challenge.updated":
      return told.data.has_code
        ? notice(
            "The page and the code for the login are there. Whoever may begin a login finds them at auth/session of the job.",
          )
        : null;
    case "auth.input.accepted":
      return { role: "user", kind: "auth_submission", text: `[${told.data.kind}]` };
    case "auth.completed":
      return notice("The agent is logged in.");
    case "auth.failed":
      return notice(told.data.error);
    case "conversation.state.changed":
      return noticeOf(told.data, attempt);
    default:
      return null;
  }
}

const notice = (text: string): Said => ({ role: "system", kind: "orchestration_notice", text });

function noticeOf({ to, trigger, terminal }: StateChange, attempt: number): Said | null {
  if (to === "running")
    return notice(attempt === 1 ? "The agent began." : `The agent goes on (attempt ${attempt}).`);
  if (trigger === "run.interrupted") return notice("The server was stopped in the middle of the work.");
  if (to === "failed" || to === "canceled") return notice(terminal?.error?.message ?? `The job is ${to}.`);
  return to === "succeeded" ? notice("The job has succeeded.") : null;
}

function shownInput(input: unknown): string {
  const command = z.object({ command: z.string() }).safeParse(input).data?.command;
  return (command ?? JSON.stringify(input) ?? "").slice(0, maxCommand);
}

/** Bubbles with `from <= seq <= to`, at most `limit`. */
export async function readChat(
  path: string,
  { from = 1, to = Number.MAX_SAFE_INTEGER, limit = 200 }: { from?: number; to?: number; limit?: number },
): Promise<ChatBubble[]> {
  const chat = createChat();
  const reader = createEventReader(path);
  const bubbles: ChatBubble[] = [];
  try {
    for (;;) {
      const lines = await reader.next(pieceBytes);
      if (lines.length === 0) return bubbles;
      for (const bubble of bubblesOf(lines, chat)) {
        if (bubble.seq > to || bubbles.length === limit) return bubbles;
        if (bubble.seq >= from) bubbles.push(bubble);
      }
    }
  } finally {
    await reader.close();
  }
}

function bubblesOf(lines: readonly WrittenLine[], chat: ReturnType<typeof createChat>): ChatBubble[] {
  return lines.flatMap(({ text }) => {
    const event = runEvent.safeParse(parseJson(text));
    return event.success ? chat(event.data) : [];
  });
}

/** Follows a run's conversation: bubbles behind `after`, in the manner of `Follower.next`. */
export function followChat(follower: Follower, after: number) {
  const chat = createChat();
  return {
    async next(idleMs: number): Promise<readonly ChatBubble[] | null | "end"> {
      const due = performance.now() + idleMs;
      for (;;) {
        const lines = await follower.next(Math.max(1, due - performance.now()));
        if (lines === null || lines === "end") return lines;
        const wanted = bubblesOf(lines, chat).filter(({ seq }) => seq > after);
        if (wanted.length > 0) return wanted;
        // Pieces of a message that is not over yet are silence to whoever reads bubbles.
        if (performance.now() >= due) return null;
      }
    },
    close: () => follower.close(),
  };
}
export type ChatFollower = ReturnType<typeof followChat>;
