import { constants } from "node:fs";
import { open } from "node:fs/promises";

/** Most bytes of a file that is read as a part of an answer. */
export const maxAnswerFileBytes = 16 * 1024 * 1024;

/** What keeps a file from being read that is the agent's doing. */
const agentsDoing = ["ENOENT", "ENOTDIR", "ELOOP", "ENXIO", "EACCES", "EPERM"];

/**
 * The text of a file that an agent left as a part of its answer. A link is not followed, and a pipe not waited for.
 * @returns null when it cannot be read, or is larger than `maxAnswerFileBytes`
 * @throws the system's error when that is not the agent's doing (no descriptors, a failing disk)
 */
export async function readAnswerFile(path: string): Promise<string | null> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const info = await file.stat();
      return info.isFile() && info.size <= maxAnswerFileBytes ? await file.readFile("utf8") : null;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && agentsDoing.includes(String(error.code))) return null;
    throw error;
  }
}
