import { homedir } from "node:os";
import { basename, delimiter, dirname, isAbsolute, join, relative } from "node:path";
import { pathOf } from "../credentials.ts";
import { isWithin, kindOf, programFolders, realPathOf } from "./hidden.ts";
import type { Environment, JailedAgent, JailHost } from "./host.ts";

/** Variables that name files which every agent may read. */
const certificateVariables = ["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"];

/** Folders and files that agents run, by the names by which they are looked for. */
export function programsOf({ environment, npmPrefix }: JailHost, executable: string): string[] {
  const home = environment.HOME ?? homedir();
  const inPath = (environment.PATH ?? "").split(delimiter).filter(isAbsolute);
  return [
    npmPrefix,
    ...inPath,
    ...programFolders.map((folder) => join(home, folder)),
    executable,
    packageOf(realPathOf(executable)),
    ...ownVersionOf(realPathOf(executable), home),
    dirname(realPathOf(process.execPath)),
    ...[...inPath, dirname(executable), dirname(realPathOf(executable))].flatMap((bin) => besides(bin, home)),
  ].filter((place) => kindOf(place) !== null);
}

/** The folder of a program that installs itself below `~/.local/share`, of which nothing else is shown. */
function ownVersionOf(executable: string, home: string): string[] {
  const folder = dirname(executable);
  const shared = join(realPathOf(home), ".local/share");
  return folder !== shared && isWithin(folder, shared) ? [folder] : [];
}

/** What lies beside a folder of programs and belongs to them: libraries, and what Conda, Homebrew and Python's venv link to. */
function besides(bin: string, home: string): string[] {
  const [root, realHome] = [realPathOf(dirname(bin)), realPathOf(home)];
  if (basename(bin) !== "bin" || root === realHome) return [];
  // There, `share` is where all programs keep their data and keys (XDG_DATA_HOME): `programFolders` names what is not that.
  const shared = root === join(realHome, ".local") ? [] : ["share"];
  return ["lib", "lib64", "libexec", ...shared, "Cellar", "opt", "pyvenv.cfg"].map((name) =>
    join(dirname(bin), name),
  );
}

/** Files that the agent reads: what its own variables name, certificates, and whom to ask for addresses. */
export function filesOf({ environment }: JailHost, agent: JailedAgent): string[] {
  return [
    // A link to a file of systemd's below /run.
    ...["/etc/resolv.conf"].filter((place) => kindOf(place) === "file"),
    ...filesNamedBy([...certificateVariables, ...agent.environment], environment),
  ];
}

/** Files (and the folder of SSL_CERT_DIR) that these variables name. */
export function filesNamedBy(names: readonly string[], environment: Environment): string[] {
  return names.flatMap((name) => {
    const value = environment[name] ?? "";
    if (!isAbsolute(value)) return [];
    const kind = kindOf(value);
    return kind === "file" || (kind === "folder" && name === "SSL_CERT_DIR") ? [value] : [];
  });
}

/** Where something of an agent's is found inside: below a folder that has a name, and where that folder really lies. */
export interface OwnPlace {
  /** The folder's name, as the agent knows it. */
  base: string;
  /** The folder with all links followed. */
  real: string;
  /** What lies below it; HOME is the run's, so links that stand below the real one do not. */
  below: string;
}

/**
 * Where the CLI finds a file or folder of its own.
 * @param home what HOME is inside
 */
export function ownPlaceOf(
  agent: JailedAgent,
  path: string,
  environment: Environment,
  home: string,
): OwnPlace {
  const outside = pathOf(agent, path, environment);
  const userHome = environment.HOME ?? homedir();
  if (outside === join(userHome, path)) return { base: userHome, real: home, below: path };
  const folder = agent.homes.find(({ home }) => isWithin(path, home))?.home;
  if (folder !== undefined) {
    const moved = pathOf(agent, folder, environment);
    return { base: moved, real: realPathOf(moved), below: relative(folder, path) };
  }
  return { base: dirname(outside), real: realPathOf(dirname(outside)), below: basename(outside) };
}

/** Where in the folder that is HOME inside (or stands in for moved homes) something of the agent's lies. */
export function ownPathOf(agent: JailedAgent, path: string, environment: Environment, home: string): string {
  const { real, below } = ownPlaceOf(agent, path, environment, home);
  const at = join(real, below);
  return isWithin(at, home) ? relative(home, at) : path;
}

/** What an executable needs around it: of npm's, all packages beside its own. */
function packageOf(executable: string): string {
  const folder = "/node_modules";
  const at = executable.indexOf(`${folder}/`);
  return at === -1 ? executable : executable.slice(0, at + folder.length);
}
