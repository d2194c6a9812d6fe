import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, relative, sep } from "node:path";
import { PassThrough, type Readable, type Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Agent, AgentCommand, AgentEvent, TurnRequest, TurnSummary } from "../agents/index.ts";
import { startProcess, trackingVariable } from "../agents/index.ts";
import { boundedLog } from "./bounded-log.ts";
import { type Cleaner, createCleaner } from "./cleaner.ts";
import { dropLinks } from "./drop-links.ts";
import { createLineSplitter, type LineBytes } from "./line-splitter.ts";
import { createOutputCleaner } from "./output-cleaner.ts";
import { processStat } from "./process-files.ts";
import { endProcessGroup, type KillGraces, sweepByEnvironment } from "./process-tree.ts";
import type { Resources } from "./record.ts";
import { secretsOf } from "./redactor.ts";
import { createTurnReader } from "./turn-reader.ts";
import type { UsageSampler } from "./usage-sampler.ts";

export interface TurnOptions {
  agent: Agent;
  /** What the command was made from. */
  request: TurnRequest;
  /** What is started: the CLI, or what it runs in. */
  process: { executable: string; args: string[]; env: Record<string, string> };
  /** What is started is the jail: it passes no signals on, and ends with the CLI, and all that is in it with itself. */
  isJailed: boolean;
  /** Files to write before the start: absolute path -> content. */
  files: AgentCommand["files"];
  prompt: string;
  cwd: string;
  /** Marks the agent's processes, so that those that left its group are found. */
  runId: string;
  /** The CLI's sandbox ends its tools with it; without one, they may still be starting others. */
  sandboxed: boolean;
  /** Where the turn's logs go; their folder exists. */
  logs: { prompt: string; stdout: string; stderr: string };
  /** Aborting ends the whole process group. */
  signal: AbortSignal;
  graces: KillGraces;
  sampler: UsageSampler;
  /** Milliseconds without any output after which `onStall` is called; 0 waits for ever. */
  stallMs: number;
  onStall(): void;
  /** @param bytes the line of stdout that it was read from */
  onEvent(event: AgentEvent, bytes: LineBytes | null): void;
  /** A line that is no event: of stdout when its reader makes nothing of it, any of stderr. */
  onRaw(stream: "stdout" | "stderr", text: string, bytes: LineBytes): void;
}

/** How the process of a turn ended, and what its stream had told by then. */
export interface TurnOutcome {
  summary: TurnSummary;
  /** For what else the agent left: it is to lose the same secrets. */
  cleaner: Cleaner;
  exitCode: number | null;
  signal: string | null;
  /** The process could not be started at all. */
  spawnError: string | null;
  durationMs: number;
  /** What its processes took at most; null when it was too short to tell. */
  resources: Resources | null;
}

const stderrTail = 64 * 1024;
/** Milliseconds the pipes of an agent that has ended may stay open. */
const pipeGraceMs = 500;
/** Milliseconds a conversation has to read what the agent said last. */
const conversationGraceMs = 2_000;

/**
 * Runs one turn of an agent CLI in its own process group and reads its stream to the end. Never rejects for what the
 * agent does; rejects only when the run's own files cannot be written, or there is no descriptor for its pipes.
 */
export async function runTurn(options: TurnOptions): Promise<TurnOutcome> {
  const { agent, logs, signal } = options;
  const { env } = options.process;
  const started = performance.now();
  // Before anything is kept or told: logs, events and errors are made from what comes through here.
  const cleaner = createCleaner(secretsOf(env, agent.keyVariables));
  const clean = { stdout: createOutputCleaner(cleaner), stderr: createOutputCleaner(cleaner) };
  const reader = createTurnReader(agent, options.request, cleaner, options.onEvent, (text, bytes) =>
    options.onRaw("stdout", text, bytes),
  );
  const stderrLines = createLineSplitter(
    (line, bytes) => options.onRaw("stderr", line, bytes),
    () => undefined,
  );
  writeFileSync(logs.prompt, options.prompt);
  for (const [path, content] of Object.entries(options.files)) writeAnew(options.cwd, path, content);

  const stdout = boundedLog(logs.stdout);
  const stderr = boundedLog(logs.stderr);
  let lastWords = "";
  const stall = createStallTimer(options.stallMs, options.onStall);

  const { child } = await startProcess(options.process.executable, options.process.args, {
    cwd: options.cwd,
    env,
    extendEnv: false,
    ...(agent.converse === undefined ? { input: options.prompt } : { stdin: "pipe" as const }),
    cleanup: false,
    buffer: false,
    reject: false,
    stripFinalNewline: false,
  });
  const since = child.pid === undefined ? 0 : (processStat("/proc", child.pid)?.start ?? 0);
  const endWatch =
    child.pid === undefined
      ? () => null
      : options.sampler.watch(child.pid, `${trackingVariable}=${options.runId}`);
  const spoken = agent.converse === undefined ? null : new PassThrough();
  const takeOut = (chunk: Buffer) => {
    if (chunk.length === 0) return;
    stdout.write(chunk, child.stdout);
    if (spoken === null) reader.write(chunk);
    else spoken.write(chunk);
  };
  const takeErr = (chunk: Buffer) => {
    if (chunk.length === 0) return;
    stderr.write(chunk, child.stderr);
    stderrLines.write(chunk);
    lastWords = (lastWords + chunk.toString("utf8")).slice(-stderrTail);
  };
  child.stdout.on("data", (chunk: Buffer) => {
    stall.restart();
    takeOut(clean.stdout.push(chunk));
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stall.restart();
    takeErr(clean.stderr.push(chunk));
  });

  const endGroup = (leader: number) =>
    endProcessGroup(leader, options.graces, { spareLeader: options.isJailed });
  const end = async () => {
    if (child.pid === undefined) return;
    await endGroup(child.pid);
    await sweepByEnvironment(trackingVariable, (id) => id === options.runId);
    // What hid from both (another user, an emptied environment) may still hold the pipes; the turn ends without it.
    for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe.destroy();
  };
  let ending: Promise<void> | undefined;
  const stop = () => {
    ending ??= end();
  };
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  // A tool left running would hold the agent's pipes open for ever: once the agent is gone, what it left is ended.
  child.once("exit", () => {
    const pipesHeld = setTimeout(stop, pipeGraceMs);
    child.once("close", () => clearTimeout(pipesHeld));
  });
  let conversation: Promise<void> | undefined;
  if (spoken !== null) {
    // Also when the pipe is torn down: a conversation that hears no end would wait for ever.
    child.stdout.once("close", () => {
      takeOut(clean.stdout.end());
      spoken.end();
    });
    // Whoever speaks a protocol does not end by itself: the turn is over when the conversation is.
    conversation = converse(options, { input: child.stdin, output: spoken, take: reader.take }).finally(stop);
  }
  const result = await child;
  const resources = endWatch();
  stall.stop();
  signal.removeEventListener("abort", stop);
  const tidyUp = async () => {
    if (child.pid === undefined) return;
    await endGroup(child.pid);
    // A sandbox ends its tools with it; what the CLI started outside of it (an MCP server) is looked for all the same.
    const enough = options.sandboxed || options.isJailed ? 1 : 2;
    await sweepByEnvironment(trackingVariable, (id) => id === options.runId, { since, enough });
  };
  // Whoever asks for its end from now on asks too late: a sweep behind the turn's back would take the next turn's agent.
  ending ??= tidyUp();
  await ending;
  if (conversation !== undefined) await Promise.race([conversation, sleep(conversationGraceMs)]);
  takeOut(clean.stdout.end());
  takeErr(clean.stderr.end());
  stderrLines.end();
  reader.end(lastWords);
  await Promise.all([stdout.close(), stderr.close()]);

  const { summary } = reader;
  // A CLI that was spoken with to the end was ended by us: how it took that says nothing.
  const spokenToEnd = spoken !== null && summary.completed;
  return {
    summary,
    cleaner,
    exitCode: spokenToEnd ? 0 : (result.exitCode ?? null),
    signal: spokenToEnd ? null : (result.signal ?? null),
    spawnError: child.pid === undefined ? spawnReason(result.cause) : jailError(options, result, lastWords),
    durationMs: performance.now() - started,
    resources,
  };
}

/**
 * Writes a file of ours where the agent may have been before: what it left there, which may be a link or a pipe that
 * nobody reads, is not written to, nor is a link followed that it left for one of the folders on the way.
 */
function writeAnew(workspace: string, path: string, content: string): void {
  const way = relative(workspace, dirname(path));
  if (way.split(sep)[0] !== "..") dropLinks(workspace, way);
  rmSync(path, { recursive: true, force: true });
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content, { flag: "wx" });
}

/** What bubblewrap says when it does not get as far as the CLI: one line, and nothing else was printed. */
function jailError(
  { isJailed }: TurnOptions,
  { exitCode }: { exitCode?: number | undefined },
  stderr: string,
): string | null {
  return isJailed && exitCode === 1 && /^bwrap: [^\n]*\n$/.test(stderr) ? stderr.trim() : null;
}

function spawnReason(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
}

/** Speaks the turn with the CLI. Never rejects: what goes wrong is the turn's failure, unless it was ended from outside. */
async function converse(
  { agent, request, prompt, signal }: TurnOptions,
  { input, output, take }: { input: Writable | null; output: Readable; take(event: AgentEvent): void },
): Promise<void> {
  if (input === null) return;
  // A CLI that has gone away is told by its end.
  input.on("error", () => undefined);
  try {
    await agent.converse?.(request, { prompt, input, output, emit: take, signal });
  } catch (error) {
    if (signal.aborted) return;
    const message = error instanceof Error ? error.message : String(error);
    take({ type: "failure", kind: "other", message: `The CLI broke its protocol: ${message}` });
  }
}

/** Calls `onStall` once when nothing has restarted it for `afterMs`. */
function createStallTimer(afterMs: number, onStall: () => void) {
  const timer = afterMs === 0 ? null : setTimeout(onStall, afterMs);
  return { restart: () => timer?.refresh(), stop: () => clearTimeout(timer ?? undefined) };
}
