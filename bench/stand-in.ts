import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What the benchmark's jobs run: the bundled text-stats, so that schemas are checked on the way in and out. */
export const skillId = "text-stats";
export const inputOf = (text: string) => ({ text });

const answer = {
  word_count: 2,
  sentence_count: 1,
  top_words: ["a", "text"],
  detected_language: "en",
  summary: "A text.",
};
const lines = [
  { type: "thread.started", thread_id: "01a20ebe-7df7-7052-a18a-e9fd2a2c1565" },
  { type: "turn.started" },
  { type: "item.completed", item: { id: "item_0", type: "agent_message", text: JSON.stringify(answer) } },
  {
    type: "turn.completed",
    usage: { input_tokens: 1000, cached_input_tokens: 100, output_tokens: 50, reasoning_output_tokens: 10 },
  },
];
/** What every stand-in prints: codex's stream of a turn with one answer. */
export const stream = lines.map((line) => `${JSON.stringify(line)}\n`).join("");

const programs = {
  node: `#!/usr/bin/env node
const { readFileSync, writeSync } = require("node:fs");
if (process.argv[2] === "--version") console.log("codex-cli 0.169.0");
else if (process.argv[2] !== "sandbox" && process.argv[3] !== "--help") {
  readFileSync(0);
  writeSync(1, ${JSON.stringify(stream)});
}
`,
  sh: `#!/bin/sh
if [ "$1" = --version ]; then echo "codex-cli 0.169.0"; exit; fi
if [ "$1" = sandbox ] || [ "$2" = --help ]; then exit; fi
cat >/dev/null
printf '%s' '${stream}'
`,
};
export type Program = keyof typeof programs;

/** Puts a program that reads its prompt, prints one answer and exits into an npm prefix as `codex`. */
export function installStandIn(prefix: string, program: Program): void {
  mkdirSync(join(prefix, "bin"), { recursive: true });
  writeFileSync(join(prefix, "package.json"), '{"type":"commonjs"}');
  writeFileSync(join(prefix, "bin", "codex"), programs[program], { mode: 0o755 });
}
