import type { DeviceChallenge } from "../agent.ts";

/** Reads what `codex login --device-auth` prints: the page behind the first link, and the one-time code. */
export function readCodexChallenge(stdout: string): DeviceChallenge | null {
  const auth_url = /^\s*(https?:\/\/\S+)\s*$/m.exec(stdout)?.[1];
  const user_code = /one-time code[^\n]*\n\s*([A-Z0-9]{3,}-[A-Z0-9]{3,})\s*\n/.exec(stdout)?.[1];
  return auth_url === undefined || user_code === undefined ? null : { auth_url, user_code };
}
