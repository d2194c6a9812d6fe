import { release } from "node:os";
import type { SandboxIntent } from "./agent.ts";

/**
 * Whether agents run sandboxed: `LANDLOCK_ENABLED` rules when set ("1" sandboxed, "0" not); otherwise the kernel does:
 * Landlock came with Linux 5.13 (https://docs.kernel.org/userspace-api/landlock.html).
 */
export function sandboxIntent(landlockEnabled: boolean | null, kernel: string = release()): SandboxIntent {
  if (landlockEnabled !== null) return landlockEnabled ? "workspace-write" : "unrestricted";
  const [major = 0, minor = 0] = kernel.split(".").map(Number);
  const hasLandlock = process.platform === "linux" && (major > 5 || (major === 5 && minor >= 13));
  return hasLandlock ? "workspace-write" : "unrestricted";
}
