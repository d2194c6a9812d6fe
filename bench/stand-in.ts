import { mkdirSync, rmSync, writeFileSync } from "node:fs";
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

/** What a talker's lines begin with; then comes the machine's monotonic time in ms, which all processes share. */
export const saidAt = "said at ";

/** What a talker says before its answer: lines of a length, some ms apart. */
export interface Talk {
  lines: number;
  paceMs: number;
  characters: number;
}

/** Where a talker says that it is there, and what it then waits for. */
export interface Cue {
  there: string;
  go: string;
}

/** Says what the talkers of this npm prefix do that are started from now on. */
export function setTalk(prefix: string, talk: Talk): Cue {
  const cue = { there: join(prefix, "there"), go: join(prefix, "go") };
  for (const file of Object.values(cue)) rmSync(file, { force: true });
  writeFileSync(join(prefix, "talk.json"), JSON.stringify({ ...talk, ...cue }));
  return cue;
}

/** The FIFO that sleepers of this npm prefix say in that they have begun. */
export const begunOf = (prefix: string) => join(prefix, "begun");

/** Sets for how many milliseconds the sleepers of this npm prefix sleep that are started from now on. */
export function setSleep(prefix: string, ms: number): void {
  writeFileSync(join(prefix, "sleep"), `${ms / 1000}\n`);
}

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
  // Opened for both ways, a FIFO that nobody reads does not hold it up.
  sleeper: `#!/bin/sh
if [ "$1" = --version ]; then echo "codex-cli 0.169.0"; exit; fi
if [ "$1" = sandbox ] || [ "$2" = --help ]; then exit; fi
prefix="\${0%/*}/.."
echo begun 1<>"$prefix/begun"
cat >/dev/null
read -r seconds <"$prefix/sleep"
[ "$seconds" = 0 ] || sleep "$seconds"
printf '%s' '${stream}'
`,
  talker: `#!/usr/bin/env node
const { existsSync, readFileSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
if (process.argv[2] === "--version") console.log("codex-cli 0.169.0");
else if (process.argv[2] !== "sandbox" && process.argv[3] !== "--help") {
  readFileSync(0);
  const { lines, paceMs, characters, there, go } = JSON.parse(readFileSync(join(__dirname, "../talk.json"), "utf8"));
  const nothing = new Int32Array(new SharedArrayBuffer(4));
  const sleep = (ms) => ms > 0 && Atomics.wait(nothing, 0, 0, ms);
  writeFileSync(there, "");
  while (!existsSync(go)) sleep(5);
  const padding = "x".repeat(characters);
  const started = performance.now();
  for (let n = 0; n < lines; n++) {
    sleep(started + n * paceMs - performance.now());
    const [seconds, nanoseconds] = process.hrtime();
    const text = "${saidAt}" + (seconds * 1e3 + nanoseconds / 1e6).toFixed(3) + " " + padding;
    writeFileSync(1, JSON.stringify({ type: "item.completed", item: { id: "item_" + n, type: "reasoning", text } }) + "\\n");
  }
  writeFileSync(1, ${JSON.stringify(stream)});
}
`,
};
export type Program = keyof typeof programs;

/** Puts a program that reads its prompt, prints one answer and exits into an npm prefix as `codex`. */
export function installStandIn(prefix: string, program: Program): void {
  mkdirSync(join(prefix, "bin"), { recursive: true });
  writeFileSync(join(prefix, "package.json"), '{"type":"commonjs"}');
  writeFileSync(join(prefix, "bin", "codex"), programs[program], { mode: 0o755 });
}
