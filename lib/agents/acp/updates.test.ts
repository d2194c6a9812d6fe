import { expect, test } from "vitest";
import type { AgentEvent } from "../events.ts";
import { createUpdateReader } from "./updates.ts";

function start() {
  const events: AgentEvent[] = [];
  return { events, updates: createUpdateReader((event) => events.push(event)) };
}
const cost = (amount: number) => ({
  update: { sessionUpdate: "usage_update", cost: { amount, currency: "USD" } },
});
const thought = (text: string) => ({
  update: { sessionUpdate: "agent_thought_chunk", content: { type: "text", text } },
});
const usage = { inputTokens: 5, outputTokens: 2 };
const answer = { stopReason: "end_turn", usage };
const costOf = (events: AgentEvent[]) =>
  events.flatMap((event) => (event.type === "usage" ? [event.usage.cost_usd] : []));

test("the first turn of a session has cost what the session has", () => {
  const { events, updates } = start();
  updates.newSession();
  updates.take(cost(0.25));
  updates.take(cost(0.5));
  updates.end(answer);
  expect(costOf(events)).toEqual([0.5]);
});

test("a later turn has cost what came to the session's cost, told when it was loaded", () => {
  const { events, updates } = start();
  expect(updates.takeHistory(cost(0.5))).toBe(false);
  updates.take(cost(0.75));
  updates.end(answer);
  expect(costOf(events)).toEqual([0.25]);
});

test("what a later turn has cost is not known when nothing was told before; its tokens are", () => {
  const { events, updates } = start();
  updates.take(cost(0.75));
  updates.end(answer);
  expect(events[0]).toMatchObject({ type: "usage", usage: { input_tokens: 5, cost_usd: null } });
});

test("what is retold is a conversation", () => {
  expect(start().updates.takeHistory(thought("hm"))).toBe(true);
});

test("endless thoughts are told in pieces, and none is lost", () => {
  const { events, updates } = start();
  for (let piece = 0; piece < 10; piece++) updates.take(thought("x".repeat(30_000)));
  expect(events.length).toBeGreaterThan(3);
  updates.end(answer);
  const texts = events.flatMap((event) => (event.type === "reasoning" ? [event.text.length] : []));
  expect(Math.max(...texts)).toBe(64 * 1024);
  expect(texts.reduce((sum, length) => sum + length, 0)).toBe(300_000);
});
