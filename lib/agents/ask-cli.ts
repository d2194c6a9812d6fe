import { killGroup } from "./kill-group.ts";
import { startProcess } from "./start-process.ts";

/** A question to a CLI: what it prints and how it ends, with limits on both. */
export interface Question {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  timeoutMs: number;
  /** Ends the command as the end of the time does. */
  signal?: AbortSignal;
  /** Most bytes of each stream. */
  maxBuffer: number;
}

export interface CliAnswer {
  stdout: string;
  stderr: string;
  /** It did not end with 0 in time. */
  failed: boolean;
  /** Undefined when it was ended or could not be started. */
  exitCode: number | undefined;
  signal: string | undefined;
}

/**
 * Runs a command of a CLI that asks for nothing and gives its output, at the latest a moment after `timeoutMs` or the
 * signal: it runs in a process group of its own, which is killed whole, and pipes that a stray child holds are let go.
 * @throws the system's error when there is no descriptor left for its pipes
 */
export async function askCli(path: string, args: string[], question: Question): Promise<CliAnswer> {
  const { timeoutMs, signal: stop, ...limits } = question;
  const { child } = await startProcess(path, args, {
    ...limits,
    reject: false,
    stdin: "ignore",
    extendEnv: false,
  });
  const end = () => {
    killGroup(child.pid);
    // Somebody outside of the group may hold them.
    child.stdout.destroy();
    child.stderr.destroy();
  };
  const timer = setTimeout(end, timeoutMs);
  stop?.addEventListener("abort", end, { once: true });
  if (stop?.aborted) end();
  const { stdout, stderr, failed, exitCode, signal } = await child;
  clearTimeout(timer);
  stop?.removeEventListener("abort", end);
  return { stdout, stderr, failed, exitCode, signal };
}
