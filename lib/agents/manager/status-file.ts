import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { Low } from "lowdb";
import { z } from "zod";
import type { RememberedProbe } from "../installation.ts";
import { makeFolder } from "./make-folder.ts";

/** How an install went, as the status file keeps it until the next one. */
const lastInstall = z.object({
  at: z.string(),
  action: z.enum(["install", "upgrade"]),
  wanted_version: z.string().nullable(),
  /** npm's exit code; null when it was not npm that failed. */
  exit_code: z.int().nullable(),
  error: z.string().nullable(),
});
export type LastInstall = z.infer<typeof lastInstall>;

const remembered = z.object({
  stamp: z.string(),
  machine: z.string(),
  version: z.string(),
  flags: z.array(z.string()),
  sandbox: z.enum(["works", "fails", "none"]),
});

/** One CLI in `agent_status.json`: `present` and `version` are the promise, the rest is extra. */
export interface CliEntry {
  present: boolean;
  /** "" when it is absent or would not say. */
  version: string;
  path: string | null;
  source: "managed" | "path" | null;
  sandbox: string | null;
  auth_ready: boolean;
  wanted_version: string | null;
  error: string | null;
  /** Why the CLI cannot keep its settings and logins, or null. */
  config_error: string | null;
  how_to_install: string | null;
  checked_at: string;
  last_install: LastInstall | null;
  probe: RememberedProbe | null;
}

/** What is read back of the file; the rest is written anew each time. A file that makes no sense is an empty one. */
const kept = z
  .record(
    z.string(),
    z.object({ last_install: lastInstall.nullable().catch(null), probe: remembered.nullable().catch(null) }),
  )
  .catch({});

/** `agent_status.json` in the data directory: for people, scripts, and the next start. */
export interface StatusFile {
  /** What the file keeps of an engine between two checks. */
  recall(engine: string): Promise<{ last_install: LastInstall | null; probe: RememberedProbe | null }>;
  write(entries: Record<string, CliEntry>): Promise<void>;
}

/**
 * @param write replaces a file whole and durably. lowdb's own file adapter (steno) renames too, but without fsync, and
 *   over one temporary name: the server and a script that write at the same time would tear each other's file.
 */
export function openStatusFile(
  path: string,
  write: (path: string, content: string) => Promise<void>,
): StatusFile {
  const file = new Low<Record<string, unknown>>(
    {
      read: async () => parseObject(await readFile(path, "utf8").catch(() => "")),
      write: (data) => write(path, `${JSON.stringify(data, null, 2)}\n`),
    },
    {},
  );
  return {
    async recall(engine) {
      await file.read();
      return kept.parse(file.data)[engine] ?? { last_install: null, probe: null };
    },
    async write(entries) {
      await makeFolder(dirname(path));
      file.data = { ...entries };
      await file.write();
    },
  };
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const parsed = z.record(z.string(), z.unknown()).safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
