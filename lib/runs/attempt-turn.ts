import { mkdirSync, writeFileSync } from "node:fs";
import {
  type Agent,
  type AgentEvent,
  addUsage,
  agentEnvironment,
  type Installation,
  type TurnRequest,
} from "../agents/index.ts";
import { RunnerError } from "../errors.ts";
import type { Skill } from "../skills/index.ts";
import { describeAgentEvent } from "./agent-events.ts";
import { maxLogBytes } from "./bounded-log.ts";
import type { RunContext } from "./context.ts";
import type { RawRef } from "./event-log.ts";
import type { LineBytes } from "./line-splitter.ts";
import { turnPaths } from "./paths.ts";
import { withPythonRuntime } from "./python-runtime.ts";
import type { RunRecord } from "./record.ts";
import { redact, secretsOf } from "./redactor.ts";
import type { RunProgress } from "./run-progress.ts";
import { RunStopped } from "./stop-reason.ts";
import { runTurn, type TurnOutcome } from "./turn.ts";
import { mostOf } from "./usage-sampler.ts";
import { warnOfSandbox } from "./warn-of-sandbox.ts";

/** Failed sign-ins a CLI may retry by itself before the run is ended: some go on for minutes. */
const maxAuthRetries = 2;

export interface TurnParts {
  skill: Skill;
  /** The skill's own settings for the agent. */
  config: string | null;
  agent: Agent;
  installation: Installation;
  strict: Record<string, unknown> | null;
  prompt: string;
  stop: AbortController;
}

export interface AttemptedTurn extends TurnOutcome {
  /** The agent was heard to think, talk or use a tool. */
  worked: boolean;
}

/** One turn of a run: composes the command, runs it, and notes on the run what came of it. */
export async function attemptTurn(
  context: RunContext,
  progress: RunProgress,
  parts: TurnParts,
): Promise<AttemptedTurn> {
  const { skill, agent, stop } = parts;
  progress.note({ turns: progress.run.turns + 1 });
  const { run, paths } = progress;
  const logs = turnPaths(paths, run.turns);
  // The copy of a run's folder that another server made has nothing temporary.
  for (const folder of [logs.folder, paths.temporary]) mkdirSync(folder, { recursive: true });
  const env = agentEnvironment(agent, {
    server: context.serverEnvironment,
    npmPrefix: context.npmPrefix,
    runId: run.request_id,
    temporaryFolder: paths.temporary,
    extra: await context.secrets.read(run.request_id),
  });
  const sandbox = parts.installation.sandbox === "works" ? context.sandbox : "unrestricted";
  const request: TurnRequest = {
    skillId: skill.id,
    workspace: paths.workspace,
    turnDir: logs.folder,
    model: run.model,
    provider: run.provider_id,
    effort: run.effort,
    sessionId: run.session_id,
    outputSchema: parts.strict,
    sandbox,
    environment: env,
    skillConfig: parts.config,
    cli: parts.installation,
    asRoot: context.asRoot,
  };
  const command = agent.command(request);
  // In the order in which they are in force: the adapter's variables are the agent's, whatever the job says.
  const inside = { executable: parts.installation.path, args: command.args, env: { ...env, ...command.env } };
  const jailed = (process: typeof inside) =>
    context.jail.around(agent, parts.installation.path, { ...paths, turnDir: logs.folder }, process);
  const settling: (() => void)[] = [];
  const wrapped = await withPythonRuntime(skill, inside, {
    cwd: paths.workspace,
    signal: stop.signal,
    within: async (process) => {
      const asked = await jailed(process);
      settling.push(asked.settle);
      return asked.command;
    },
  }).finally(() => {
    for (const settle of settling) settle();
  });
  if (wrapped.warning !== null) {
    // uv may say what it was given, such as an index with a password.
    const words = redact(wrapped.warning, secretsOf(env, agent.keyVariables));
    progress.warn("RUNTIME_DEPENDENCIES_INJECTION_FAILED", words);
  }
  // A crash must not make it do its work twice.
  if (agent.toolsUnheard) await progress.jot();
  const hearing = hear(progress, stop);
  const outer = await jailed({ ...inside, executable: wrapped.executable, args: wrapped.args });
  if (run.session_id !== null && outer.jailed !== run.session_in_folder) {
    outer.settle();
    const message =
      "The sandbox works now and did not before, or the other way round, in the middle of the job. Send it again.";
    throw new RunnerError("SANDBOX_REQUIRED", message, { retryAfterSeconds: 60 });
  }
  progress.note({ session_in_folder: outer.jailed });
  warnOfSandbox(context, progress, parts.installation, outer);
  const outcome = await runTurn({
    agent,
    request,
    process: outer.command,
    isJailed: outer.jailed,
    files: command.files,
    prompt: parts.prompt,
    cwd: paths.workspace,
    runId: run.request_id,
    sandboxed: sandbox === "workspace-write",
    logs,
    signal: stop.signal,
    graces: context.settings.killGraces,
    sampler: context.sampler,
    stallMs: context.settings.stallTimeoutSeconds * 1000,
    onStall: () =>
      stop.abort(
        new RunStopped(
          "stalled",
          `The ${agent.id} CLI printed nothing for ${context.settings.stallTimeoutSeconds} s and was ended.`,
        ),
      ),
    onEvent: hearing.listener,
    onRaw: tellRaw(progress),
  }).finally(outer.settle);
  progress.note({
    session_id: outcome.summary.sessionId ?? run.session_id,
    usage: usageOf(run, outcome),
    resources: mostOf(run.resources, outcome.resources),
  });
  const meta = { ...describeTurn(outcome, wrapped.args, parts.installation), jailed: outer.jailed };
  writeFileSync(logs.meta, JSON.stringify(meta, null, 2));
  return { ...outcome, worked: hearing.worked };
}

/** What the whole run used: some CLIs count on when they resume a session, others begin anew. */
function usageOf({ usage: before, session_id }: RunRecord, { summary }: TurnOutcome): RunRecord["usage"] {
  if (summary.usage === null) return before;
  const goesOn = summary.usageSince === "session" && summary.sessionId === session_id;
  return goesOn ? summary.usage : addUsage(before, summary.usage);
}

/** Types of events by which an agent shows that it has begun: from then on, the same attempt may not be made again. */
const work: readonly AgentEvent["type"][] = ["message", "reasoning", "tool_call", "tool_result"];

function hear(progress: RunProgress, stop: AbortController) {
  let authRetries = 0;
  const heard = { worked: false };
  const listener = (event: AgentEvent, bytes: LineBytes | null) => {
    const told = describeAgentEvent(event);
    if (told) progress.relay(told, bytes === null ? null : rawRefOf(progress.run, "stdout", bytes));
    const begins = !heard.worked && work.includes(event.type);
    const named = event.type === "session" && event.sessionId !== progress.run.session_id;
    heard.worked ||= begins;
    if (event.type === "session") progress.note({ session_id: event.sessionId });
    // After a crash it tells whether the agent had begun, and in which session.
    if (begins || (named && heard.worked)) void progress.jot();
    if (event.type !== "retry" || !event.authentication) return;
    authRetries += 1;
    if (authRetries >= maxAuthRetries)
      stop.abort(new RunStopped("auth", `The model refused the sign-in: ${event.message}`));
  };
  return {
    listener,
    get worked() {
      return heard.worked;
    },
  };
}

/** Most text of lines that are no events, for each stream of a turn, in characters: the logs hold the rest. */
const maxRaw = 16 * 1024;

function tellRaw(progress: RunProgress) {
  const left = { stdout: maxRaw, stderr: maxRaw };
  return (stream: "stdout" | "stderr", text: string, bytes: LineBytes) => {
    if (text.trim() === "" || left[stream] <= 0) return;
    const shown = text.slice(0, left[stream]);
    left[stream] -= shown.length;
    const data = shown === text ? { text } : { text: shown, truncated: true };
    progress.relay({ type: `raw.${stream}`, data }, rawRefOf(progress.run, stream, bytes));
  };
}

/** Where a line lies in the turn's log; null beyond what the log keeps. */
function rawRefOf(run: RunRecord, stream: "stdout" | "stderr", { from, to }: LineBytes): RawRef | null {
  if (to > maxLogBytes) return null;
  const { attempt, turns } = run;
  return { attempt_number: attempt, turn: turns, stream, byte_from: from, byte_to: to, encoding: "utf-8" };
}

function describeTurn(outcome: TurnOutcome, args: string[], installation: Installation) {
  return {
    cli_version: installation.version,
    args,
    exit_code: outcome.exitCode,
    signal: outcome.signal,
    duration_ms: Math.round(outcome.durationMs),
    session_id: outcome.summary.sessionId,
    usage: outcome.summary.usage,
    resources: outcome.resources,
    failure: outcome.summary.failure,
  };
}
