import { expect, test } from "vitest";
import { followChat } from "./chat.ts";
import type { Follower } from "./follow.ts";

/** A follower that has one more piece of the same message whenever it is asked. */
function speaking(everyMs: number): Follower {
  let seq = 0;
  return {
    async next() {
      await new Promise((resolve) => setTimeout(resolve, everyMs));
      seq += 1;
      const event = {
        protocol_version: "fcmp/1.0",
        run_id: "R",
        seq,
        ts: "2026-11-24T18:29:23.929Z",
        engine: "codex",
        type: "assistant.message.intermediate",
        data: { text: "word ", delta: true },
        meta: { attempt: 1, turn: 1, local_seq: seq },
        correlation: {},
        raw_ref: null,
      };
      return [{ seq, text: JSON.stringify(event), end: seq, last: false }];
    },
    close() {},
  };
}

test("a message that takes long to be said counts as silence: a heartbeat is due", async () => {
  expect(await followChat(speaking(5), 0).next(50)).toBeNull();
}, 2_000);
