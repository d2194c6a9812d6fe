import { homedir, userInfo } from "node:os";
import { basename, delimiter, dirname, isAbsolute, join, relative } from "node:path";
import type { Agent } from "../agent.ts";
import { pathOf } from "../credentials.ts";
import type { Mount } from "./arguments.ts";
import {
  foreignFiles,
  foreignFolders,
  homeOf,
  isSystemFolder,
  isWithin,
  kindOf,
  programFolders,
  realPathOf,
} from "./hidden.ts";
import { clearWay, makeFolder, makeFolderWithin } from "./own-folders.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What is asked of an agent here. */
export type JailedAgent = Pick<
  Agent,
  "homes" | "credentialFiles" | "settings" | "environment" | "configVariable"
>;

/** What the server has that its agents must not see, and where their programs lie. */
export interface JailHost {
  /** The server's own environment: what a job adds to its agent's must not decide what is mounted. */
  environment: Environment;
  agents: readonly JailedAgent[];
  npmPrefix: string;
  /** Folders of the server: its data first, then its project with `.env`, the mounted config root and the like. */
  serverFolders: readonly string[];
  /** Files of the server that may hold keys, wherever they lie. */
  serverFiles: readonly string[];
}

/** The folders of one run, all absolute. They are made where they are missing. */
export interface JailedRun {
  workspace: string;
  temporary: string;
  /** Stands in for HOME, and keeps what CLIs keep there of this run. */
  home: string;
  /** Files of this turn, which the agent only reads; null for none. */
  turnDir: string | null;
}

/** Variables that name files which every agent may read. */
const certificateVariables = ["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"];

/** Variables that name a folder which all runs have in common outside of a jail; in it, each run has its own. */
const folderVariables = [
  ...["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"],
  ...["UV_CACHE_DIR", "UV_PROJECT_ENVIRONMENT"],
];

/**
 * What an agent sees of the machine, as mounts over a read-only view of all of it. Looks at the file system as it is now,
 * and makes the run's own folders where they are missing.
 * @param executable absolute path of the CLI
 */
export function layOutJail(host: JailHost, agent: JailedAgent, executable: string, run: JailedRun): Mount[] {
  for (const folder of [run.workspace, run.temporary, run.home]) makeFolder(folder);
  const home = homeOf(host.environment);
  // On the disk and not in memory, and the same in all turns of the run.
  const owned = [
    ...["/tmp", "/var/tmp"]
      .filter((at) => kindOf(at) === "folder")
      .map((at) => writable(run.temporary, realPathOf(at))),
    writable(run.home, home ?? realPathOf(run.home)),
    writable(run.temporary, realPathOf(run.temporary)),
  ];
  const hidden = hiddenOf(host);
  const veils = [...hidden.filter(({ as }) => as === "hidden"), ...owned].map(({ at }) => at);
  const shown = shownOf(host, agent, executable).filter(
    ({ at }) => veils.some((veil) => isWithin(at, veil)) && !veils.some((veil) => isWithin(veil, at)),
  );
  // What lies in something hidden needs nothing, unless it is part of what is shown there.
  const bare = veils.filter((veil) => hidden.some(({ at }) => at === veil) || veil === home);
  const isNeeded = ({ at }: Mount) =>
    !bare.some((veil) => veil !== at && isWithin(at, veil) && !shown.some((place) => isWithin(at, place.at)));
  const mounts = [
    ...hidden.filter(isNeeded),
    ...owned,
    ...shown,
    ...ownFoldersOf(host.environment, agent, run, home),
    ...settingsOf(host.environment, agent, home),
    writable(run.workspace, realPathOf(run.workspace)),
    ...(run.turnDir === null ? [] : [readable(realPathOf(run.turnDir))]),
  ];
  // What the agent left there in an earlier turn must not lead the mounts of this one elsewhere.
  for (const { at, from } of owned)
    clearWay(
      from,
      mounts.flatMap((mount) => (isWithin(mount.at, at) ? [relative(at, mount.at)] : [])),
    );
  return mounts;
}

/** Why not all that must be hidden can be, or null. */
export function whyNotHidden({ serverFolders }: JailHost): string | null {
  const [data] = serverFolders;
  return data !== undefined && isSystemFolder(realPathOf(data))
    ? `the data directory is ${data}, which no agent could work without`
    : null;
}

function hiddenOf({ environment, agents, serverFolders, serverFiles }: JailHost): Mount[] {
  const folders = [
    ...foreignFolders,
    ...[environment.HOME ?? homedir(), userInfo().homedir],
    ...serverFolders,
    ...agents.flatMap((agent) => agent.homes.map(({ home }) => pathOf(agent, home, environment))),
  ].map(realPathOf);
  const files = [
    ...foreignFiles,
    ...serverFiles,
    ...agents.flatMap((agent) => agent.credentialFiles.map((file) => pathOf(agent, file, environment))),
    // Such as the key file of a cloud account, which is one agent's alone.
    ...agents.flatMap((agent) => filesNamedBy(agent.environment, environment)),
  ].map(realPathOf);
  return [
    ...folders
      .filter((path) => kindOf(path) === "folder" && !isSystemFolder(path))
      .map((at): Mount => ({ at, as: "hidden" })),
    ...files.filter((path) => kindOf(path) === "file").map((at): Mount => ({ at, as: "masked" })),
  ];
}

/** What agents run, and the files that their variables name: to be shown where they lie in what is hidden. */
function shownOf({ environment, npmPrefix }: JailHost, agent: JailedAgent, executable: string) {
  const home = environment.HOME ?? homedir();
  const places = [
    npmPrefix,
    ...(environment.PATH ?? "").split(delimiter).filter(isAbsolute),
    ...programFolders.map((folder) => join(home, folder)),
    packageOf(realPathOf(executable)),
    dirname(realPathOf(process.execPath)),
    // A link to a file of systemd's below /run.
    "/etc/resolv.conf",
    ...filesNamedBy([...certificateVariables, ...agent.environment], environment),
  ];
  // Under the name by which it is looked for, and where it lies.
  return places
    .filter((place) => kindOf(place) !== null)
    .flatMap((place) =>
      [join(realPathOf(dirname(place)), basename(place)), realPathOf(place)].map((at) => ({
        ...readable(realPathOf(place)),
        at,
      })),
    );
}

/** What an executable needs around it: of npm's, all packages beside its own. */
function packageOf(executable: string): string {
  const folder = "/node_modules";
  const at = executable.indexOf(`${folder}/`);
  return at === -1 ? executable : executable.slice(0, at + folder.length);
}

/** The run's own in place of folders outside HOME where the CLI, or every program, keeps something. */
function ownFoldersOf(
  environment: Environment,
  agent: JailedAgent,
  run: JailedRun,
  home: string | null,
): Mount[] {
  const ofVariables = folderVariables.flatMap((name) => {
    const folder = environment[name] ?? "";
    return isAbsolute(folder) ? [{ place: folder, own: join(".of-variables", name) }] : [];
  });
  const ofAgent = agent.homes.map((folder) => ({
    place: insideOf(agent, folder.home, environment, home),
    own: folder.home,
  }));
  return [...ofVariables, ...ofAgent].flatMap(({ place, own }) => {
    const at = realPathOf(place);
    if (isSystemFolder(at) || (home !== null && isWithin(place, home))) return [];
    // Where it is missing there would be nothing to mount on.
    if (!makeFolder(at)) return [];
    return [writable(makeFolderWithin(run.home, own), at)];
  });
}

/** The agent's logins, which CLIs renew, and its settings. */
function settingsOf(environment: Environment, agent: JailedAgent, home: string | null): Mount[] {
  const existing = (paths: readonly string[]) =>
    paths.flatMap((path) => {
      const from = realPathOf(pathOf(agent, path, environment));
      return kindOf(from) === null ? [] : [{ at: insideOf(agent, path, environment, home), from }];
    });
  return [
    ...existing(agent.credentialFiles).map(({ at, from }) => writable(from, at)),
    ...existing(agent.settings).map(({ at, from }): Mount => ({ at, as: "readable", from })),
  ];
}

/** Where the CLI finds a file of its own. HOME is the run's: links that stand in the real one do not. */
function insideOf(agent: JailedAgent, path: string, environment: Environment, home: string | null): string {
  const outside = pathOf(agent, path, environment);
  const userHome = environment.HOME ?? homedir();
  if (home !== null && isWithin(outside, userHome)) return join(home, relative(userHome, outside));
  return join(realPathOf(dirname(outside)), basename(outside));
}

/** Files (and the folder of SSL_CERT_DIR) that these variables name. */
function filesNamedBy(names: readonly string[], environment: Environment): string[] {
  return names.flatMap((name) => {
    const value = environment[name] ?? "";
    if (!isAbsolute(value)) return [];
    const kind = kindOf(value);
    return kind === "file" || (kind === "folder" && name === "SSL_CERT_DIR") ? [value] : [];
  });
}

function writable(from: string, at: string) {
  return { at, as: "writable" as const, from };
}

function readable(place: string) {
  return { at: place, as: "readable" as const, from: place };
}
