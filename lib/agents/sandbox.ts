import { release } from "node:os";
import type { SandboxIntent } from "./agent.ts";

/**
 * Whether agents run sandboxed: `LANDLOCK_ENABLED` rules when set ("1" sandboxed, "0" not); otherwise they do, but for a
 * Linux kernel older than 5.13, which has no Landlock (https://docs.kernel.org/userspace-api/landlock.html). Whether the
 * sandbox works then is asked of the CLI itself.
 */
export function sandboxIntent(
  landlockEnabled: boolean | null,
  system: { platform: string; release: string } = { platform: process.platform, release: release() },
): SandboxIntent {
  if (landlockEnabled !== null) return landlockEnabled ? "workspace-write" : "unrestricted";
  if (system.platform !== "linux") return "workspace-write";
  const [major = 0, minor = 0] = system.release.split(".").map(Number);
  return major > 5 || (major === 5 && minor >= 13) ? "workspace-write" : "unrestricted";
}
