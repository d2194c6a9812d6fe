import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { access, constants, stat } from "node:fs/promises";
import { hostname, release } from "node:os";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import type { Agent } from "./agent.ts";
import type { Jail } from "./jail/index.ts";
import { pinned } from "./manager/store.ts";
import { ask, askVersion, trySandbox, withOwnHome } from "./probe.ts";

/** Where a CLI lies and what it says of itself. */
export interface Installation {
  /** Absolute path of the executable; that of a managed version goes on to be this version after an upgrade. */
  path: string;
  source: "managed" | "path";
  /** First line of `--version`, reduced to the number where it has one; null when the CLI would not say. */
  version: string | null;
  /** Long options its help names; empty when the adapter asks for no help. */
  flags: ReadonlySet<string>;
  /** Whether the CLI's own sandbox works on this machine (user namespaces, seccomp ... allow it), if it has one. */
  sandbox: "works" | "fails" | "none";
  /** The runner's own sandbox is around all that it does, and its own was tried inside of that. */
  jailed: boolean;
  /** The machine its sandbox was tried on. */
  machine: string;
  error: string | null;
  /** Names the file and what was asked of it: another one is another CLI. */
  stamp: string;
  /** False when a probe was cut short, so that the answer may be another one next time. */
  final: boolean;
}

/** What a CLI said when it was last asked, as it is kept between two starts of the server. */
export interface RememberedProbe {
  stamp: string;
  /** The machine its sandbox was tried on. */
  machine: string;
  version: string;
  flags: string[];
  sandbox: Installation["sandbox"];
}

export interface InstallationFinder {
  /** The CLI as it is installed now (or was, at most `maxAgeMs` ago), or null. */
  find(agent: Agent, options?: { maxAgeMs?: number }): Promise<Installation | null>;
}

export interface FinderOptions {
  /** What was known of an engine's CLI before this process; asked once, and believed only of the same file. */
  recall?(engine: string): Promise<RememberedProbe | null>;
  /** What runs are put into; a CLI's own sandbox is tried inside. */
  jail?: Jail;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Looks for CLIs in the managed npm prefix first, then in PATH. A file (path, inode, size, times) is asked once for its
 * version, its options and its sandbox: some CLIs take over a second to say it.
 */
export function createInstallationFinder(
  npmPrefix: string,
  environment: Environment,
  options: FinderOptions = {},
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
        // An absolute path stays what it is.
        const inPlace = resolve(folder, agent.binary);
        const file = await stampOf(inPlace, agent);
        if (file === null) continue;
        const source = index === 0 && !isAbsolute(agent.binary) ? "managed" : "path";
        const path = source === "managed" ? await pinned(npmPrefix, inPlace) : inPlace;
        const stamp = `${path === inPlace ? "" : path} ${file}`.trim();
        // Two agents may be driven by one executable, and ask different things of it.
        const key = `${agent.id} ${path}`;
        const before = known.get(key);
        const installation =
          before?.stamp === stamp
            ? before.installation
            : withOwnHome(source === "managed", environment, (env) =>
                describe(agent, { path, source, stamp }, { own: env, real: environment }, options),
              );
        known.set(key, { stamp, installation });
        found.set(agent.id, { at: performance.now(), installation });
        // A probe that failed under load or ran out of time says nothing for good: it is asked again next time.
        const forget = () => known.get(key)?.installation === installation && known.delete(key);
        installation.then((told) => told.final || forget(), forget);
        return installation;
      }
      return null;
    },
  };
}

/** What is worth keeping of a probe, or null when it told nothing for good. */
export function rememberedProbe(installation: Installation): RememberedProbe | null {
  const { version, final, stamp, flags, sandbox, machine } = installation;
  if (version === null || !final) return null;
  return { stamp, machine, version, flags: [...flags], sandbox };
}

/** What decides whether a sandbox works: kernel and user, the container (its host name), how it is confined, and the jail. */
function thisMachine(isJailed: boolean): string {
  const parts = [hostname(), release(), process.getuid?.() ?? "", ...confinement(), isJailed ? "jailed" : ""];
  return parts.join(" ").trim();
}

/** Seccomp and the like (proc_pid_status(5)), and the AppArmor or SELinux profile; nothing where there is no /proc. */
function confinement(): string[] {
  const text = (path: string) => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return "";
    }
  };
  const flags = text("/proc/self/status").match(/^(Seccomp|NoNewPrivs|CapBnd):\s*\w+/gm) ?? [];
  return [...flags.map((flag) => flag.replaceAll(/\s+/g, "")), text("/proc/self/attr/current").trim()];
}

async function stampOf(path: string, agent: Agent): Promise<string | null> {
  try {
    await access(path, constants.X_OK);
    const info = await stat(path);
    if (!info.isFile()) return null;
    const asked = createHash("sha256").update(JSON.stringify([agent.helpArgs, agent.sandboxProbes]));
    return `${info.ino}:${info.size}:${info.mtimeMs}:${info.ctimeMs}:${asked.digest("hex").slice(0, 12)}`;
  } catch {
    return null;
  }
}

type Place = Pick<Installation, "path" | "source" | "stamp">;

async function describe(
  agent: Agent,
  place: Place,
  // In the real one its sandbox is tried: who owns what lies there decides whether it works.
  { own: environment, real }: { own: Environment; real: Environment },
  { recall, jail }: FinderOptions,
): Promise<Installation> {
  const state = await jail?.state();
  const around = jail !== undefined && state?.works ? jail : null;
  const jailed = around !== null;
  // Where the jail may work the next time, the CLI's own sandbox was tried in the wrong place.
  const inPlace = state?.final ?? true;
  const machine = thisMachine(jailed);
  const remembered = await recall?.(agent.id).catch(() => null);
  if (remembered?.stamp === place.stamp) {
    const sandbox =
      remembered.machine === machine
        ? { state: remembered.sandbox, final: true }
        : await trySandbox(agent, place.path, real, around);
    const { version, flags } = remembered;
    return {
      ...place,
      version,
      flags: new Set(flags),
      sandbox: sandbox.state,
      jailed,
      machine,
      error: null,
      final: sandbox.final && inPlace,
    };
  }
  const { version, error, final } = await askVersion(place.path, environment);
  if (version === null) {
    const sandbox = agent.sandboxProbes.length === 0 ? "none" : "fails";
    return { ...place, version, flags: new Set(), sandbox, jailed, machine, error, final };
  }
  const [help, sandbox] = await Promise.all([
    agent.helpArgs === null ? null : ask(place.path, agent.helpArgs, environment),
    trySandbox(agent, place.path, real, around),
  ]);
  return {
    ...place,
    version,
    flags: new Set(`${help?.stdout ?? ""}\n${help?.stderr ?? ""}`.match(/--[a-z][a-z0-9-]*/g)),
    sandbox: sandbox.state,
    jailed,
    machine,
    error,
    final: sandbox.final && inPlace && (help === null || help.exitCode !== undefined),
  };
}
