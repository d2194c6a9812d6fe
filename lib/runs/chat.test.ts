import { expect, test } from "vitest";
import { createChat, followChat } from "./chat.ts";
import type { Follower } from "./follow.ts";

const eventOf = (seq: number) => ({
  protocol_version: "fcmp/1.0" as const,
  run_id: "R",
  seq,
  ts: "2026-11-24T18:29:23.929Z",
  engine: "codex",
  type: "assistant.message.intermediate",
  data: { text: "word ", delta: true },
  meta: { attempt: 1, turn: 1, local_seq: seq },
  correlation: {},
  raw_ref: null,
});

/** A follower that has one more piece of the same message whenever it is asked. */
function speaking(everyMs: number): Follower {
  let seq = 0;
  return {
    async next() {
      await new Promise((resolve) => setTimeout(resolve, everyMs));
      seq += 1;
      return [{ seq, text: JSON.stringify(eventOf(seq)), end: seq, last: false }];
    },
    close() {},
  };
}

test("a message that takes long to be said counts as silence: a heartbeat is due", async () => {
  expect(await followChat(speaking(5), 0).next(50)).toBeNull();
}, 2_000);

test("an answer that comes in pieces is one bubble, also when only the later ones say that they are pieces", () => {
  const chat = createChat();
  const event = (seq: number, type: string, data: Record<string, unknown>) => ({
    ...eventOf(seq),
    type,
    data,
  });
  const bubbles = [
    event(1, "assistant.message.intermediate", { text: '{"a":', delta: false }),
    event(2, "assistant.message.intermediate", { text: " 1}", delta: true }),
    event(3, "assistant.message.final", { text: '{"a": 1}' }),
  ].flatMap((told) => chat(told));
  expect(bubbles).toMatchObject([{ seq: 1, kind: "assistant_final", text: '{"a": 1}' }]);
});

test("what the agent says behind a warning of its own is another message: two halves of a key do not become one", () => {
  const chat = createChat();
  const event = (seq: number, type: string, data: Record<string, unknown>) => ({
    ...eventOf(seq),
    type,
    data,
  });
  const warning = { code: "AGENT_WARNING", message: "careful" };
  const bubbles = [
    event(1, "assistant.message.intermediate", { text: "sk-proj-01234", delta: true }),
    event(2, "diagnostic.warning", warning),
    event(3, "assistant.message.intermediate", { text: "56789abcdef", delta: true }),
    event(4, "assistant.reasoning", { text: "hm" }),
  ].flatMap((told) => chat(told));
  expect(bubbles.map(({ text }) => text)).toEqual(["sk-proj-01234", "56789abcdef", "hm"]);
});
