import { access, constants, stat } from "node:fs/promises";
import { basename, delimiter, join } from "node:path";
import type { Agent } from "./agent.ts";

/** Where a CLI lies and what it says of itself. */
export interface Installation {
  /** Absolute path of the executable. */
  path: string;
  source: "managed" | "path";
  /** First line of `--version`, reduced to the number where it has one; null when the CLI would not say. */
  version: string | null;
  error: string | null;
}

export interface InstallationFinder {
  /** The CLI as it is installed now, or null. Costs two stats when nothing has changed since the last call. */
  find(agent: Agent): Promise<Installation | null>;
}

const versionTimeoutMs = 20_000;

/**
 * Looks for CLIs in the managed npm prefix first, then in PATH. The version is asked once per file (path, size, mtime):
 * some CLIs take over a second to say it.
 */
export function createInstallationFinder(
  npmPrefix: string,
  environment: Readonly<Record<string, string | undefined>>,
): InstallationFinder {
  const known = new Map<string, { stamp: string; installation: Promise<Installation> }>();
  const folders = [
    join(npmPrefix, "bin"),
    ...(environment.PATH ?? "").split(delimiter).filter((folder) => folder !== ""),
  ];
  return {
    async find(agent) {
      for (const [index, folder] of folders.entries()) {
        const path = join(folder, agent.binary);
        const stamp = await stampOf(path);
        if (stamp === null) continue;
        const before = known.get(path);
        if (before?.stamp === stamp) return before.installation;
        const installation = describe(path, index === 0 ? "managed" : "path", environment);
        known.set(path, { stamp, installation });
        return installation;
      }
      return null;
    },
  };
}

async function stampOf(path: string): Promise<string | null> {
  try {
    await access(path, constants.X_OK);
    const info = await stat(path);
    return info.isFile() ? `${info.ino}:${info.size}:${info.mtimeMs}` : null;
  } catch {
    return null;
  }
}

async function describe(
  path: string,
  source: "managed" | "path",
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Installation> {
  // cleanEnv: asking a version needs no key, and a broken binary gets none.
  // Loaded when first needed: it is a third of what a start would read.
  const { execa } = await import("execa");
  const result = await execa(path, ["--version"], {
    reject: false,
    timeout: versionTimeoutMs,
    killSignal: "SIGKILL",
    stdin: "ignore",
    maxBuffer: 64 * 1024,
    extendEnv: false,
    env: { PATH: environment.PATH, HOME: environment.HOME },
  });
  const line = result.stdout.split("\n")[0]?.trim() ?? "";
  if (result.failed || line === "") {
    const how = result.exitCode === undefined ? (result.signal ?? "no exit") : `exit ${result.exitCode}`;
    return { path, source, version: null, error: `${basename(path)} --version did not answer (${how})` };
  }
  return { path, source, version: /\d+\.\d+\.\d+[\w.+-]*/.exec(line)?.[0] ?? line, error: null };
}
