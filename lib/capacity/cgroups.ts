import { stat } from "node:fs/promises";
import { join } from "node:path";
import { readKernelFile } from "./kernel-files.ts";

export type CgroupVersion = "cgroup2" | "cgroup1";
export type Controller = "cpu" | "memory" | "pids";

/** One cgroup this process counts against: its own, or an ancestor whose limits hold for it too. */
export interface CgroupLevel {
  source: CgroupVersion;
  directory: string;
  /** 0 is the process's own cgroup, 1 its parent, and so on. */
  levelsUp: number;
}

interface Membership {
  controllers: readonly string[];
  path: string;
}

interface CgroupMount {
  type: string;
  /** The cgroup that shows at the mount point; a container often sees only its own part of the tree. */
  root: string;
  point: string;
  options: readonly string[];
}

/**
 * Every visible cgroup level per controller, own cgroup first, up to the mount.
 * Sources: cgroups(7) for /proc/self/cgroup, proc_pid_mountinfo(5) for where the trees are mounted.
 */
export async function findCgroups(fsRoot: string): Promise<Record<Controller, readonly CgroupLevel[]>> {
  const memberships = parseMemberships(await readKernelFile(join(fsRoot, "proc/self/cgroup")));
  const mounts = parseMounts(await readKernelFile(join(fsRoot, "proc/self/mountinfo")));

  const unified = memberships.find(({ controllers }) => controllers.length === 0);
  const unifiedMounts = mounts.filter(({ type }) => type === "cgroup2");
  if (unifiedMounts.length === 0) {
    // Some sandboxes hide the mount from mountinfo; this is where every distribution puts it.
    unifiedMounts.push({ type: "cgroup2", root: "/", point: "/sys/fs/cgroup", options: [] });
  }
  const unifiedLevels = await levelsOf("cgroup2", fsRoot, unified, unifiedMounts);

  async function levels(controller: Controller): Promise<readonly CgroupLevel[]> {
    const membership = memberships.find(({ controllers }) => controllers.includes(controller));
    const own = mounts.filter(({ type, options }) => type === "cgroup" && options.includes(controller));
    // The kernel binds a controller to one tree only, so in a hybrid setup the other one simply has no such files.
    return [...unifiedLevels, ...(await levelsOf("cgroup1", fsRoot, membership, own))];
  }

  const [cpu, memory, pids] = await Promise.all([levels("cpu"), levels("memory"), levels("pids")]);
  return { cpu, memory, pids };
}

async function levelsOf(
  source: CgroupVersion,
  fsRoot: string,
  membership: Membership | undefined,
  mounts: readonly CgroupMount[],
): Promise<CgroupLevel[]> {
  const [firstMount] = mounts;
  if (membership === undefined || firstMount === undefined) return [];

  for (const mount of mounts) {
    const segments = segmentsBelow(mount.root, membership.path);
    if (segments === undefined) continue;
    if (!(await isDirectory(join(fsRoot, mount.point, ...segments)))) continue;
    return Array.from({ length: segments.length + 1 }, (_, levelsUp) => ({
      source,
      directory: join(fsRoot, mount.point, ...segments.slice(0, segments.length - levelsUp)),
      levelsUp,
    }));
  }
  // In a container the path can be the host's name for what is mounted here: the mount itself is then our cgroup.
  return [{ source, directory: join(fsRoot, firstMount.point), levelsUp: 0 }];
}

/** The names that lead from cgroup `root` down to cgroup `path`, or undefined when `path` is not below it. */
function segmentsBelow(root: string, path: string): string[] | undefined {
  const prefix = root === "/" ? "" : root;
  if (path !== prefix && !path.startsWith(`${prefix}/`)) return undefined;
  const segments = path
    .slice(prefix.length)
    .split("/")
    .filter((segment) => segment !== "");
  // "/.." is how the kernel names a cgroup outside our cgroup namespace: it cannot be reached from the mount.
  return segments.includes("..") ? undefined : segments;
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

/** Lines are `id:controllers:path`; cgroup v2 is the one with id 0 and no controllers. */
function parseMemberships(text = ""): Membership[] {
  return text.split("\n").flatMap((line) => {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    const [, controllers, path] = match ?? [];
    if (controllers === undefined || path === undefined) return [];
    return [{ controllers: controllers === "" ? [] : controllers.split(","), path }];
  });
}

/** Lines are `id parent major:minor root point options [tags] - type source super-options`. */
function parseMounts(text = ""): CgroupMount[] {
  return text.split("\n").flatMap((line) => {
    const [left = "", right = ""] = line.split(" - ", 2);
    const [, , , root, point] = left.split(" ");
    const [type, , options = ""] = right.split(" ");
    if (root === undefined || point === undefined) return [];
    if (type !== "cgroup" && type !== "cgroup2") return [];
    return [{ type, root: decodeOctal(root), point: decodeOctal(point), options: options.split(",") }];
  });
}

/** mountinfo writes blanks and backslashes as three octal digits. */
function decodeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
