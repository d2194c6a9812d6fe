import { existsSync, watch } from "node:fs";
import { join } from "node:path";
import { fetchJson } from "./http.ts";
import { inputOf, skillId } from "./stand-in.ts";

interface Job {
  request_id: string;
  status: string | null;
}

/** Sends a job with a text of its own, so that the result cache, which stays on, does not know it yet. */
export async function submit(server: string, text: string): Promise<string> {
  const body = { skill_id: skillId, engine: "codex", input: inputOf(text) };
  return (await fetchJson<Job>(`${server}/v1/jobs`, body)).request_id;
}

/** Asks for a job's status without a pause until it has ended. */
export async function ended(server: string, id: string): Promise<void> {
  for (;;) {
    const { status } = await fetchJson<Job>(`${server}/v1/jobs/${id}`);
    if (status === "succeeded") return;
    if (status === "failed" || status === "canceled") throw new Error(`job ${id} has ${status}`);
  }
}

/**
 * Says when a run has ended without asking the server, which would take processor time from the run: the server keeps
 * the record of each run that has not ended in a folder of its own, and takes it away last. So this is never early; it may be a little late.
 */
export function watchEnds(dataDir: string) {
  const active = join(dataDir, "state", "active");
  const waiting = new Map<string, () => void>();
  const watcher = watch(active, (_, name) => {
    if (name === null || existsSync(join(active, name))) return;
    waiting.get(name)?.();
    waiting.delete(name);
  });
  return {
    of: (id: string) =>
      new Promise<void>((resolve) => {
        if (existsSync(join(active, id))) waiting.set(id, resolve);
        else resolve();
      }),
    close: () => watcher.close(),
  };
}
