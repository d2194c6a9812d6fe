import type { Enclosed, Installation } from "../agents/index.ts";
import type { RunContext } from "./context.ts";
import type { RunProgress } from "./run-progress.ts";

const code = "SANDBOX_UNAVAILABLE";

/**
 * Warns of a turn that runs without a sandbox that the settings ask for: once for a job, and again only when it comes to lack
 * another one.
 */
export function warnOfSandbox(
  context: Pick<RunContext, "sandbox">,
  progress: Pick<RunProgress, "run" | "warn">,
  installation: Installation,
  { jailed, lacking }: Pick<Enclosed, "jailed" | "lacking">,
): void {
  const { engine, warnings } = progress.run;
  const told = new Set(warnings.map((warning) => warning.message));
  const warn = (message: string) => {
    if (!told.has(message)) progress.warn(code, message);
  };
  if (lacking !== null) warn(`The CLI of ${engine} ran without the runner's sandbox: ${lacking}`);
  if (!jailed && context.sandbox === "workspace-write" && installation.sandbox === "fails")
    warn(`The sandbox of ${engine} does not work on this machine: its tools ran without.`);
}
