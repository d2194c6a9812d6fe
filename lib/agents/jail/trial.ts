import { statSync } from "node:fs";
import { access, constants, mkdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import { askCli } from "../ask-cli.ts";
import { pathOf } from "../credentials.ts";
import { makeProbeFolder } from "../probe-folders.ts";
import type { Privileges } from "./arguments.ts";
import { kindOf } from "./hidden.ts";
import type { JailedAgent, JailedRun, JailHost } from "./host.ts";
import { whyNotHidden } from "./veils.ts";
import { wrap } from "./wrap.ts";

/** What came of trying bubblewrap. */
export interface Trial {
  /** What is to be started, and as what; null where it does not work. */
  use: { bubblewrap: string; privileges: Privileges } | null;
  /** In a sentence, what was tried or set. */
  reason: string;
  /** False when it failed of what may have passed by the next time. */
  final: boolean;
}

const tryTimeoutMs = 20_000;

/** What strerror(3), sh and bubblewrap say of what may be otherwise the next time: processes, memory, namespaces, room on a disk, descriptors, a folder that an upgrade replaces. */
const shortage =
  /Resource temporarily unavailable|Cannot allocate memory|No space left on device|\bENOSPC\b|Too many open files|Disk quota exceeded|Interrupted system call|Cannot fork|No such file or directory/;

/** Tries the jail of a run, in a folder of the server's data as runs have them. */
export async function tryBubblewrap(host: JailHost): Promise<Trial> {
  const never = (reason: string): Trial => ({ use: null, reason, final: true });
  const { environment } = host;
  if (process.platform !== "linux") return never("bubblewrap needs Linux.");
  const bubblewrap = await inPath("bwrap", environment.PATH ?? "");
  if (bubblewrap === null)
    return never("bubblewrap is not installed (no bwrap in PATH): install the package bubblewrap.");
  const unhidden = whyNotHidden(host);
  if (unhidden !== null) return never(`bubblewrap cannot be used: ${unhidden}.`);
  const kinds: Privileges[] = process.getuid?.() === 0 ? ["root", "root-in-namespace"] : ["user"];
  let final = true;
  let words = "";
  for (const privileges of kinds) {
    const attempt = await attemptAs(host, bubblewrap, privileges);
    final &&= attempt.works || attempt.final;
    words = attempt.words;
    if (!attempt.works) continue;
    const foreign = privileges === "root-in-namespace" ? foreignLogins(host) : null;
    if (foreign !== null) return { use: null, reason: foreign, final };
    return { use: { bubblewrap, privileges }, reason: "bubblewrap was tried and works here.", final };
  }
  const why = `bubblewrap was tried and does not work here: ${words || "it did not answer"}.`;
  return { use: null, reason: final ? why : `${why} It is tried again with the next job.`, final };
}

/** What a run needs of its jail, asked inside. Arguments: the npm prefix, then what PATH names. No path is told: callers see it. */
const questions = `
missing() { echo "$1 is not found inside" >&2; exit 1; }
[ -w . ] || missing "the workspace"
[ -w "$HOME" ] || missing "HOME"
[ -w "$TMPDIR" ] || missing "TMPDIR"
[ -z "$1" ] || [ -d "$1" ] || missing "the npm prefix"
shift
for folder do [ -d "$folder" ] || missing "a folder of PATH"; done`;

async function attemptAs(host: JailHost, bubblewrap: string, privileges: Privileges) {
  const { environment, npmPrefix, serverFolders } = host;
  let folder: string | null = null;
  try {
    folder = await makeProbeFolder(await dataFolder(serverFolders));
    const run = runIn(folder);
    const env = {
      PATH: environment.PATH ?? "/usr/bin:/bin",
      TMPDIR: run.temporary,
      ...(environment.HOME === undefined ? {} : { HOME: environment.HOME }),
    };
    const isFolder = (place: string) => kindOf(place) === "folder";
    const inPath = env.PATH.split(delimiter).filter((place) => isAbsolute(place) && isFolder(place));
    const { executable, args } = wrap(
      host,
      { bubblewrap, privileges, agent: nobody, executable: bubblewrap, run },
      {
        executable: "sh",
        args: ["-c", questions, "sh", isFolder(npmPrefix) ? npmPrefix : "", ...inPath],
        env,
      },
    );
    const limits = { cwd: tmpdir(), timeoutMs: tryTimeoutMs, maxBuffer: 64 * 1024 };
    const answer = await askCli(executable, args, { env, ...limits });
    return {
      works: !answer.failed,
      words: answer.stderr.trim().split("\n").at(-1) ?? "",
      // 128 and more: what ran inside was killed, such as by the kernel when memory was short.
      final: answer.exitCode !== undefined && answer.exitCode < 128 && !shortage.test(answer.stderr),
    };
  } catch (error) {
    // No folder, no descriptor: that may be better the next time.
    const words = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return { works: false, words, final: false };
  } finally {
    if (folder !== null)
      await rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
  }
}

async function dataFolder([data]: readonly string[]): Promise<string> {
  if (data === undefined) return tmpdir();
  // Not its parents: below /proc, Node would try to make them for ever.
  if (kindOf(data) === null) await mkdir(data);
  return data;
}

/** An agent of which nothing is shown. */
const nobody: JailedAgent = {
  homes: [],
  credentialFiles: [],
  settings: [],
  environment: [],
  configVariable: null,
};

/** The folders of a run in a folder of its own. */
export function runIn(folder: string): JailedRun {
  return {
    workspace: join(folder, "workspace"),
    temporary: join(folder, "tmp"),
    home: join(folder, "home"),
    turnDir: null,
  };
}

/** Root in a user namespace is not asked for leave only where root owns the files. Null when that is so of all logins. */
function foreignLogins({ agents, environment }: JailHost): string | null {
  const places = agents.flatMap((agent) =>
    [...agent.homes.map(({ home }) => home), ...agent.credentialFiles].map((path) =>
      pathOf(agent, path, environment),
    ),
  );
  const foreign = places.some((path) => (statSync(path, { throwIfNoEntry: false })?.uid ?? 0) !== 0);
  return foreign
    ? "bubblewrap works here, but root without CAP_SYS_ADMIN could not use the agents' logins in it, as another user owns them: run the server as that user, or give it CAP_SYS_ADMIN."
    : null;
}

async function inPath(name: string, path: string): Promise<string | null> {
  for (const folder of path.split(delimiter).filter(isAbsolute)) {
    const candidate = join(folder, name);
    const isThere = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return candidate;
  }
  return null;
}
