import { killGroup } from "./kill-group.ts";

/** A question to a CLI: what it prints and how it ends, with limits on both. */
export interface Question {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  timeoutMs: number;
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
 * Runs a command of a CLI that asks for nothing and gives its output. Always resolves, at the latest a moment after
 * `timeoutMs`: it runs in a process group of its own, which is killed whole, and pipes that a stray child holds are let go.
 */
export async function askCli(path: string, args: string[], question: Question): Promise<CliAnswer> {
  const { timeoutMs, ...limits } = question;
  // Loaded when first needed: it is a third of what a start would read.
  const { execa } = await import("execa");
  const child = execa(path, args, {
    ...limits,
    reject: false,
    stdin: "ignore",
    extendEnv: false,
    detached: true,
  });
  const timer = setTimeout(() => {
    killGroup(child.pid);
    // Somebody outside of the group may hold them.
    child.stdout.destroy();
    child.stderr.destroy();
  }, timeoutMs);
  const { stdout, stderr, failed, exitCode, signal } = await child;
  clearTimeout(timer);
  return { stdout, stderr, failed, exitCode, signal };
}
