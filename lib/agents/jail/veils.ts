import { readdirSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { pathOf } from "../credentials.ts";
import type { Mount } from "./arguments.ts";
import {
  foreignFiles,
  foreignFolders,
  foreignFolderVariables,
  isSystemFolder,
  isWithin,
  keyFileVariables,
  kindOf,
  realPathOf,
  socketVariables,
} from "./hidden.ts";
import type { Environment, JailedAgent, JailHost } from "./host.ts";
import { filesNamedBy } from "./places.ts";

/** What keeps an agent from seeing things, with all links followed. */
export interface Veils {
  /** Folders that are empty inside, but for what is mounted in them. */
  folders: string[];
  /** What is seen again of such a folder, as programs need it. */
  remains: Mount[];
  /** Files that are covered each by itself. */
  masked: string[];
}

/** What others see of this agent's, and it of theirs. */
export interface Seen {
  agent: JailedAgent;
  /** Folders and files of programs, with all links followed. */
  programs: readonly string[];
  /** Folders in whose place the agent has its own. */
  owned: readonly string[];
}

/**
 * What must be hidden. A single file is hidden with the folder that it lies in: a mount on the file itself is gone as soon as
 * somebody outside replaces the file (mount_namespaces(7), "restrictions"), and a database makes new files beside its own.
 */
export function veilsOf(host: JailHost, { agent, programs, owned }: Seen): Veils {
  const folders = hiddenFoldersOf(host, programs);
  const closed = [...folders, ...owned];
  const isClosed = (path: string) =>
    closed.some((folder) => isWithin(path, folder)) &&
    !programs.some((place) => isWithin(path, place) && closed.some((folder) => isWithin(place, folder)));
  const files = hiddenFilesOf(host).filter((path) => !isClosed(path));
  const parents = new Set(files.map((path) => dirname(path)));
  parents.delete("/");
  const isThinned = (folder: string) =>
    isSystemFolder(folder) || programs.some((place) => isWithin(place, folder) || isWithin(folder, place));
  const isHidden = new Set([...folders, ...files]);
  const own = filesNamedBy(agent.environment, host.environment).map(realPathOf);
  return {
    folders: [...folders, ...[...parents].filter((folder) => kindOf(folder) === "folder")],
    remains: [...parents].filter(isThinned).flatMap((folder) => contentOf(folder, isHidden)),
    // The root has no folder to be hidden in.
    masked: [...foreignFiles, ...files.filter((path) => dirname(path) === "/" && !own.includes(path))].filter(
      (path) => kindOf(path) !== null,
    ),
  };
}

/**
 * Hides npm's own settings for the prefix (npmrc(5), "global config file"), which may hold tokens, in a folder that is shown for
 * its programs. What else lies beside them is seen again.
 */
export function npmSettingsVeil({ npmPrefix }: JailHost): Mount[] {
  const folder = realPathOf(join(npmPrefix, "etc"));
  if (kindOf(folder) !== "folder") return [];
  return [{ at: folder, as: "hidden" }, ...contentOf(folder, new Set([join(folder, "npmrc")]))];
}

/** Why not all that must be hidden can be, or null. */
export function whyNotHidden({ serverFolders, serverFiles }: JailHost): string | null {
  const folder = serverFolders.find((place) => isSystemFolder(realPathOf(place)));
  if (folder !== undefined)
    return `the server keeps what no agent may see in ${folder}, which no agent could work without: give it a folder of its own`;
  const isExposed = serverFiles.some((place) => dirname(realPathOf(place)) === "/");
  return isExposed
    ? "the jobs' database or the file of SKILL_RUNNER_ACP_AGENTS lies in /, which no agent could work without: give it a folder of its own"
    : null;
}

function hiddenFoldersOf(
  { environment, agents, serverFolders }: JailHost,
  programs: readonly string[],
): string[] {
  const linked = serverFolders.flatMap(linksIn).map(realPathOf);
  const named = [
    ...foreignFolders,
    ...foreignFolderVariables.flatMap((name) => environment[name] ?? []).filter(isAbsolute),
    ...[environment.HOME ?? homedir(), userInfo().homedir],
    ...serverFolders,
    // A link to programs hides none.
    ...linked.filter((path) => !programs.some((place) => isWithin(path, place))),
    ...agents.flatMap((agent) => agent.homes.map(({ home }) => pathOf(agent, home, environment))),
  ];
  return [...new Set(named.map(realPathOf))].filter(
    (path) => kindOf(path) === "folder" && !isSystemFolder(path),
  );
}

/** Files of the server and its agents: those that are there, and those that may come while an agent runs. */
function hiddenFilesOf({ environment, agents, serverFiles }: JailHost): string[] {
  const named = [
    ...serverFiles,
    ...agents.flatMap((agent) => agent.credentialFiles.map((file) => pathOf(agent, file, environment))),
    // Such as the key file of a cloud account, which is one agent's alone.
    ...agents.flatMap((agent) => filesNamedBy(agent.environment, environment)),
    ...filesNamedBy(keyFileVariables, environment),
    ...socketsIn(environment),
  ];
  return [...new Set(named.map(realPathOf))].filter((path) => kindOf(path) !== "folder");
}

/** Links that stand in a folder of the server's, such as one from its data to a larger disk. */
function linksIn(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isSymbolicLink()).map(({ name }) => join(folder, name));
  } catch {
    return [];
  }
}

function socketsIn(environment: Environment): string[] {
  return socketVariables.flatMap((name) => {
    const path = (environment[name] ?? "").replace(/^unix:(\/\/)?/, "");
    return isAbsolute(path) && kindOf(path) !== null ? [path] : [];
  });
}

function contentOf(folder: string, isHidden: ReadonlySet<string>): Mount[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.flatMap((entry): Mount[] => {
    const at = join(folder, entry.name);
    if (isHidden.has(at)) return [];
    if (entry.isSymbolicLink()) return [{ at, as: "link", to: realPathOf(at) }];
    if (!entry.isDirectory() && !entry.isFile()) return [];
    return [{ at, as: "readable", from: at, ifThere: true }];
  });
}
