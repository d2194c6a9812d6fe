import { createWriteStream, type WriteStream, writeFileSync } from "node:fs";
import { finished } from "node:stream/promises";
import type { Agent, AgentCommand, AgentEvent, TurnSummary } from "../agents/index.ts";
import { createTurnSummary, trackingVariable } from "../agents/index.ts";
import { createLineSplitter } from "./line-splitter.ts";
import { endProcessGroup, type KillGraces, sweepByEnvironment } from "./process-tree.ts";

export interface TurnOptions {
  agent: Agent;
  /** Absolute path of the CLI. */
  executable: string;
  command: AgentCommand;
  prompt: string;
  cwd: string;
  env: Record<string, string>;
  /** Marks the agent's processes, so that those that left its group are found. */
  runId: string;
  /** The CLI's sandbox ends its tools with it; without one, tools that moved to a session of their own live on. */
  sandboxed: boolean;
  /** Where the turn's logs go; their folder exists. */
  logs: { prompt: string; stdout: string; stderr: string };
  /** Aborting ends the whole process group. */
  signal: AbortSignal;
  graces: KillGraces;
  onEvent(event: AgentEvent): void;
}

/** How the process of a turn ended, and what its stream had told by then. */
export interface TurnOutcome {
  summary: TurnSummary;
  exitCode: number | null;
  signal: string | null;
  /** The process could not be started at all. */
  spawnError: string | null;
  durationMs: number;
}

/** Most that is kept of each log; what comes after is counted out, not stored: a run must not fill the disk. */
const maxLogBytes = 64 * 1024 * 1024;
const stderrTail = 64 * 1024;
/** Milliseconds the pipes of an agent that has ended may stay open. */
const pipeGraceMs = 500;
const overflowText = "a line of output was longer than 1 MiB and was left out";

/**
 * Runs one turn of an agent CLI in its own process group and reads its stream to the end. Never rejects for what the
 * agent does; rejects only when the run's own files cannot be written.
 */
export async function runTurn(options: TurnOptions): Promise<TurnOutcome> {
  const { agent, command, logs, signal } = options;
  const started = performance.now();
  const { summary, add } = createTurnSummary();
  const take = (event: AgentEvent) => {
    add(event);
    options.onEvent(event);
  };
  for (const [path, content] of Object.entries({ [logs.prompt]: options.prompt, ...command.files })) {
    writeFileSync(path, content);
  }

  const stdout = boundedLog(logs.stdout);
  const stderr = boundedLog(logs.stderr);
  const lines = createLineSplitter(
    (line) => agent.parse(line).forEach(take),
    () => take({ type: "warning", message: overflowText }),
  );
  let lastWords = "";

  // Loaded when first needed: it is a third of what a start would read.
  const { execa } = await import("execa");

  const child = execa(options.executable, command.args, {
    cwd: options.cwd,
    env: { ...options.env, ...command.env },
    extendEnv: false,
    input: options.prompt,
    // A group of its own, so that one signal ends the agent and its tools.
    detached: true,
    cleanup: false,
    buffer: false,
    reject: false,
    stripFinalNewline: false,
  });
  child.stdout.on("data", (chunk: Buffer) => {
    stdout.write(chunk, child.stdout);
    lines.write(chunk);
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr.write(chunk, child.stderr);
    lastWords = (lastWords + chunk.toString("utf8")).slice(-stderrTail);
  });

  const end = async () => {
    if (child.pid === undefined) return;
    await endProcessGroup(child.pid, options.graces);
    await sweepByEnvironment(trackingVariable, options.runId);
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
  const result = await child;
  signal.removeEventListener("abort", stop);
  if (child.pid !== undefined && ending === undefined) {
    await endProcessGroup(child.pid, options.graces);
    if (!options.sandboxed) await sweepByEnvironment(trackingVariable, options.runId);
  }
  await ending;
  lines.end();
  await Promise.all([stdout.close(), stderr.close()]);

  if (summary.failure === null && !summary.completed) {
    const explained = agent.explainStderr(lastWords);
    if (explained) take(explained);
  }
  return {
    summary,
    exitCode: result.exitCode ?? null,
    signal: result.signal ?? null,
    spawnError: child.pid === undefined ? spawnReason(result.cause) : null,
    durationMs: performance.now() - started,
  };
}

function spawnReason(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
}

interface BoundedLog {
  write(chunk: Buffer, source: { pause(): unknown; resume(): unknown } | null): void;
  close(): Promise<void>;
}

/**
 * A log file that stops growing at `maxLogBytes`, and slows its source down instead of buffering in memory. It is made
 * when there is something to write.
 */
function boundedLog(path: string): BoundedLog {
  let file: WriteStream | undefined;
  let room = maxLogBytes;
  const opened = () => {
    file ??= createWriteStream(path, { flags: "w" })
      // Logs are for reading afterwards: a full disk must not end the agent's turn. It is seen where it matters, in records.
      .on("error", () => undefined);
    return file;
  };
  return {
    write(chunk, source) {
      const log = opened();
      if (room <= 0 || log.destroyed) return;
      const kept = chunk.subarray(0, room);
      room -= kept.length;
      const flowing = log.write(kept);
      if (room <= 0) log.write("\n[skill-runner: the log was cut here]\n");
      else if (!flowing && source) {
        source.pause();
        const goOn = () => {
          log.off("drain", goOn).off("close", goOn);
          source.resume();
        };
        log.once("drain", goOn).once("close", goOn);
      }
    },
    async close() {
      if (file === undefined) return;
      file.end();
      await finished(file).catch(() => undefined);
    },
  };
}
