import { release } from "node:os";
import type { SandboxIntent } from "../agent.ts";

/** Whether agents run in their CLI's own sandbox, and why. */
export interface Landlock {
  enabled: boolean;
  reason: string;
}

/** A CLI that has a sandbox of its own, and whether it works here. */
export interface TriedSandbox {
  engine: string;
  works: boolean;
}

/**
 * The answer of `LANDLOCK_ENABLED`: what is set rules; otherwise the kernel must be new enough, and the sandbox of an
 * installed CLI must have been seen to work, as kernels have Landlock and containers forbid what it needs.
 * @param intent what the setting and the kernel say (`sandboxIntent`)
 * @param tried the installed CLIs with a sandbox; empty when there are none to try it with
 */
export function explainLandlock(
  setting: boolean | null,
  intent: SandboxIntent,
  tried: readonly TriedSandbox[],
  kernel: string = release(),
): Landlock {
  const failed = tried.filter(({ works }) => !works).map(({ engine }) => engine);
  const working = tried.filter(({ works }) => works).map(({ engine }) => engine);
  if (setting === false) return { enabled: false, reason: "LANDLOCK_ENABLED is 0." };
  if (intent === "unrestricted")
    return { enabled: false, reason: `Kernel ${kernel} is older than 5.13 and has no Landlock.` };
  const wanted = setting === true ? "LANDLOCK_ENABLED is 1" : `Kernel ${kernel} is new enough`;
  if (tried.length === 0)
    return { enabled: true, reason: `${wanted}; no CLI with a sandbox is installed to try it with.` };
  if (working.length === 0)
    return {
      enabled: false,
      reason: `${wanted}, but the sandbox of ${failed.join(", ")} was tried and does not work here.`,
    };
  return { enabled: true, reason: `${wanted}, and the sandbox of ${working.join(", ")} works here.` };
}
