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
  /** Long options its help names; empty when the adapter asks for no help. */
  flags: ReadonlySet<string>;
  /** Whether the CLI's own sandbox works on this machine (user namespaces, seccomp ... allow it), if it has one. */
  sandbox: "works" | "fails" | "none";
  error: string | null;
  /** False when a probe was cut short, so that the answer may be another one next time. */
  final: boolean;
}

export interface InstallationFinder {
  /** The CLI as it is installed now (or was, at most `maxAgeMs` ago), or null. */
  find(agent: Agent, options?: { maxAgeMs?: number }): Promise<Installation | null>;
}

const probeTimeoutMs = 20_000;

/**
 * Looks for CLIs in the managed npm prefix first, then in PATH. A file (path, size, mtime)
 * is asked once for its version and its sandbox: some CLIs take over a second to say it.
 */
export function createInstallationFinder(
  npmPrefix: string,
  environment: Readonly<Record<string, string | undefined>>,
): InstallationFinder {
  const known = new Map<string, { stamp: string; installation: Promise<Installation> }>();
  const found = new Map<string, { at: number; installation: Promise<Installation> }>();
  const folders = [
    join(npmPrefix, "bin"),
    ...(environment.PATH ?? "").split(delimiter).filter((folder) => folder !== ""),
  ];
  return {
    async find(agent, { maxAgeMs = 0 } = {}) {
      const recent = found.get(agent.id);
      if (recent && performance.now() - recent.at < maxAgeMs) return recent.installation;
      found.delete(agent.id);
      for (const [index, folder] of folders.entries()) {
        const path = join(folder, agent.binary);
        const stamp = await stampOf(path);
        if (stamp === null) continue;
        const before = known.get(path);
        const installation =
          before?.stamp === stamp
            ? before.installation
            : describe(agent, path, index === 0 ? "managed" : "path", environment);
        known.set(path, { stamp, installation });
        found.set(agent.id, { at: performance.now(), installation });
        // A probe that failed under load or ran out of time says nothing for good: it is asked again next time.
        const forget = () => known.get(path)?.installation === installation && known.delete(path);
        installation.then((told) => told.final || forget(), forget);
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
  agent: Agent,
  path: string,
  source: "managed" | "path",
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Installation> {
  // Loaded when first needed: it is a third of what a start would read.
  const { execa } = await import("execa");
  const ask = (args: string[]) =>
    execa(path, args, {
      reject: false,
      timeout: probeTimeoutMs,
      killSignal: "SIGKILL",
      stdin: "ignore",
      maxBuffer: 64 * 1024,
      // Neither question needs a key, and a broken binary gets none.
      extendEnv: false,
      env: { PATH: environment.PATH, HOME: environment.HOME },
    });
  const version = await ask(["--version"]);
  const line = version.stdout.split("\n")[0]?.trim() ?? "";
  if (version.failed || line === "") {
    const how = version.exitCode === undefined ? (version.signal ?? "no exit") : `exit ${version.exitCode}`;
    const error = `${basename(path)} --version did not answer (${how})`;
    return {
      path,
      source,
      version: null,
      flags: new Set(),
      sandbox: agent.sandboxProbe === null ? "none" : "fails",
      error,
      final: version.exitCode !== undefined,
    };
  }
  const [help, sandbox] = await Promise.all([
    agent.helpArgs === null ? null : ask(agent.helpArgs),
    agent.sandboxProbe === null ? null : ask(agent.sandboxProbe),
  ]);
  return {
    path,
    source,
    version: /\d+\.\d+\.\d+[\w.+-]*/.exec(line)?.[0] ?? line,
    flags: new Set(`${help?.stdout ?? ""}\n${help?.stderr ?? ""}`.match(/--[a-z][a-z0-9-]*/g)),
    sandbox: sandbox === null ? "none" : sandbox.failed ? "fails" : "works",
    error: null,
    final: [help, sandbox].every((answer) => answer === null || answer.exitCode !== undefined),
  };
}
