import { join } from "node:path";
import { pathOf } from "../credentials.ts";
import type { Mount } from "./arguments.ts";
import { homeOf, isSystemFolder, isWithin, kindOf, realPathOf } from "./hidden.ts";
import type { Environment, JailedAgent, JailedRun, JailHost } from "./host.ts";
import { clearWays, makeFolder, makeFolderWithin } from "./own-folders.ts";
import { filesOf, type OwnPlace, ownPlaceOf, programsOf } from "./places.ts";
import { npmSettingsVeil, veilsOf } from "./veils.ts";
import { wayTo } from "./ways.ts";

/** Variables that name a folder which all runs have in common outside of a jail; in it, each run has its own. */
const folderVariables = [
  ...["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"],
  ...["UV_CACHE_DIR", "UV_PROJECT_ENVIRONMENT"],
];

/** A mount, and the name by which the agent looks for it: where that leads over links, they are followed in the jail, too. */
interface Placed {
  mount: Exclude<Mount, { as: "hidden" | "masked" | "link" }>;
  /** A folder with all links followed, and its name; what lies below it is free of links. */
  by: { base: string; below: string };
}

/**
 * What an agent sees of the machine, as mounts over a read-only view of all of it. Looks at the file system as it is now,
 * and makes the run's own folders where they are missing.
 * @param executable absolute path of the CLI
 */
export function layOutJail(host: JailHost, agent: JailedAgent, executable: string, run: JailedRun): Mount[] {
  for (const folder of [run.workspace, run.temporary, run.home]) makeFolder(folder);
  const { environment } = host;
  const home = homeOf(environment);
  const homeInside = home ?? realPathOf(run.home);
  // On the disk and not in memory, and the same in all turns of the run.
  const owned: Placed[] = [
    ...["/tmp", "/var/tmp"]
      .filter((at) => kindOf(at) === "folder")
      .map(
        (name): Placed => ({
          mount: { at: realPathOf(name), as: "writable", from: run.temporary },
          by: named(name),
        }),
      ),
    { mount: { at: homeInside, as: "writable", from: run.home }, by: named(environment.HOME ?? homeInside) },
    placed("writable", run.temporary),
  ];
  const programs = programsOf(host, executable);
  const { folders, remains, masked } = veilsOf(host, {
    agent,
    programs: programs.map(realPathOf),
    owned: owned.map(({ mount }) => mount.at),
  });
  const veils = [...folders, ...owned.map(({ mount }) => mount.at)];
  const places = [...programs, ...filesOf(host, agent)].map((name) => placed("readable", name));
  const shown = places.filter(
    ({ mount: { at } }) =>
      veils.some((veil) => isWithin(at, veil)) && !veils.some((veil) => isWithin(veil, at)),
  );
  // What lies in something hidden needs nothing, unless it is part of what is shown there.
  const bare = veils.filter((veil) => folders.includes(veil) || veil === home);
  const isShown = (at: string) =>
    shown.some(({ mount }) => isWithin(at, mount.at)) || remains.some((rest) => isWithin(at, rest.at));
  const isNeeded = ({ at }: Mount) => !bare.some((veil) => veil !== at && isWithin(at, veil)) || isShown(at);
  const own = ownFoldersOf(environment, agent, run, homeInside);
  const inPlace: Placed[] = [
    ...owned,
    ...shown,
    ...own,
    ...settingsOf(environment, agent, homeInside),
    placed("writable", run.workspace),
    ...(run.turnDir === null ? [] : [placed("readable", run.turnDir)]),
  ];
  const mounts: Mount[] = [
    ...[
      ...folders.map((at): Mount => ({ at, as: "hidden" })),
      ...masked.map((at): Mount => ({ at, as: "masked" })),
    ].filter(isNeeded),
    ...remains,
    ...npmSettingsVeil(host),
    ...inPlace.map(({ mount }) => mount),
  ];
  const all = [...mounts, ...waysTo([...inPlace, ...places], mounts)];
  // What the agent left there in an earlier turn must not lead the mounts of this one elsewhere.
  clearWays(
    [...owned, ...own].map(({ mount }) => mount),
    all,
  );
  return all;
}

/** What it takes that places are found by their names. */
function waysTo(places: readonly Placed[], mounts: readonly Mount[]): Mount[] {
  return places.flatMap(({ mount, by: { base, below } }) => {
    const { links, names } = wayTo(base, mounts);
    return [...links, ...names.map((name) => ({ ...mount, at: join(name, below) }))];
  });
}

/** The run's own in place of folders outside HOME where the CLI, or every program, keeps something. */
function ownFoldersOf(environment: Environment, agent: JailedAgent, run: JailedRun, home: string): Placed[] {
  const ofVariables = folderVariables.flatMap((name) => {
    const folder = environment[name] ?? "";
    return folder.startsWith("/")
      ? [{ place: { base: folder, real: realPathOf(folder), below: "" }, own: join(".of-variables", name) }]
      : [];
  });
  const ofAgent = agent.homes.map((folder) => ({
    place: ownPlaceOf(agent, folder.home, environment, home),
    own: folder.home,
  }));
  return [...ofVariables, ...ofAgent].flatMap(({ place, own }) => {
    const at = join(place.real, place.below);
    if (isSystemFolder(at) || isWithin(at, home)) return [];
    // Where it is missing there would be nothing to mount on.
    if (!makeFolder(at)) return [];
    return [{ mount: { at, as: "writable", from: makeFolderWithin(run.home, own) }, by: place }];
  });
}

/** The agent's logins, which CLIs renew, and its settings. */
function settingsOf(environment: Environment, agent: JailedAgent, home: string): Placed[] {
  const existing = (paths: readonly string[], as: "readable" | "writable") =>
    paths.flatMap((path): Placed[] => {
      const from = realPathOf(pathOf(agent, path, environment));
      if (kindOf(from) === null) return [];
      const place: OwnPlace = ownPlaceOf(agent, path, environment, home);
      return [{ mount: { at: join(place.real, place.below), as, from }, by: place }];
    });
  const shared = agent.credentialFiles.filter((file) => agent.ownCopies?.[file] === undefined);
  return [...existing(shared, "writable"), ...existing(agent.settings, "readable")];
}

function placed(as: "readable" | "writable", name: string): Placed {
  const at = realPathOf(name);
  return { mount: { at, as, from: at }, by: named(name) };
}

function named(name: string): Placed["by"] {
  return { base: name, below: "" };
}
