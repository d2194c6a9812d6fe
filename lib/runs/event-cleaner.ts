import type { AgentEvent } from "../agents/index.ts";
import type { Cleaner } from "./cleaner.ts";

type Message = Extract<AgentEvent, { type: "message" }>;

/**
 * Takes secrets out of events, also one that comes in the pieces of a message, which are joined later. The end of a piece that could
 * begin a secret (most often nothing) comes with the next piece, or when the message is over.
 */
export interface EventCleaner {
  push(event: AgentEvent): AgentEvent[];
  /** What was held back. */
  end(): AgentEvent[];
}

export function createEventCleaner(cleaner: Cleaner): EventCleaner {
  let open: ReturnType<typeof openMessage> | null = null;
  const close = (): AgentEvent[] => {
    const last = open?.end() ?? [];
    open = null;
    return last;
  };
  return {
    push(event) {
      // As `createTurnSummary` and the chat have it: all else ends a message.
      if (event.type === "usage") return [event];
      if (event.type !== "message") return [...close(), clean(cleaner, event)];
      if (event.delta === undefined) return [...close(), clean(cleaner, event)];
      const before = event.delta ? [] : close();
      open ??= openMessage(cleaner, event);
      return [...before, ...open.push(event.text)];
    },
    end: close,
  };
}

function openMessage(cleaner: Cleaner, { delta }: Message) {
  const stream = cleaner.stream();
  let isBegun = false;
  /** The first half of a character whose other half comes with the next piece: alone it has no bytes. */
  let half = "";
  const told = (text: string): AgentEvent[] => {
    if (text === "") return [];
    const event: AgentEvent = { type: "message", text, delta: isBegun || delta === true };
    isBegun = true;
    return [event];
  };
  return {
    push(piece: string) {
      const text = half + piece;
      half = /[\ud800-\udbff]$/.exec(text)?.[0] ?? "";
      return told(stream.push(Buffer.from(text.slice(0, text.length - half.length))).toString());
    },
    end: () => told(Buffer.concat([stream.push(Buffer.from(half)), stream.end()]).toString()),
  };
}

function clean({ text, value }: Cleaner, event: AgentEvent): AgentEvent {
  switch (event.type) {
    case "message":
    case "reasoning":
      return { ...event, text: text(event.text) };
    case "tool_call":
      return { ...event, tool: text(event.tool), input: value(event.input) };
    case "tool_result":
      return { ...event, output: text(event.output) };
    case "retry":
    case "warning":
    case "failure":
      return { ...event, message: text(event.message) };
    case "turn_completed":
      return {
        ...event,
        ...(event.text === undefined ? {} : { text: text(event.text) }),
        ...(event.structured === undefined ? {} : { structured: value(event.structured) }),
      };
    case "session":
    case "turn_started":
    case "usage":
      return event;
  }
}
