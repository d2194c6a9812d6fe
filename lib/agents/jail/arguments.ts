/** What the agent finds at a place of its file system. */
export type Mount =
  /** An empty folder that nothing can be written to. */
  | { at: string; as: "hidden" }
  /** A file that cannot be opened. */
  | { at: string; as: "masked" }
  /** A link in what is hidden. */
  | { at: string; as: "link"; to: string }
  /** `ifThere`: it may have gone by the time that it is mounted. */
  | { at: string; as: "readable"; from: string; ifThere?: boolean }
  | { at: string; as: "writable"; from: string };

/**
 * What bubblewrap is started as. "user" makes a user namespace; so does "root-in-namespace", for a root without
 * CAP_SYS_ADMIN, as in containers: it reaches no files of other users then. "root" needs CAP_SYS_ADMIN and reaches all.
 */
export type Privileges = "user" | "root" | "root-in-namespace";

export interface JailArguments {
  privileges: Privileges;
  /** A place that is mentioned twice is what it is mentioned as last; parents are mounted before what lies in them. */
  mounts: readonly Mount[];
  cwd: string;
  /** Variables set inside only. They can be seen in `ps`. */
  setEnvironment?: Readonly<Record<string, string>>;
  /** What of `kernelFiles` there is on this machine. */
  kernelFiles: readonly string[];
}

/**
 * Files by which a process of root rules the machine even without any capability, such as core_pattern: the kernel asks
 * for the user alone. bubblewrap covers some of them, and only where it could write to them itself.
 */
export const kernelFiles: readonly string[] = [
  "/proc/sys",
  "/proc/sysrq-trigger",
  "/proc/irq",
  "/proc/bus",
  "/proc/fs",
];

/**
 * What root keeps: it may use files of whatever owner that are mounted writable, as it is used to. Nothing that mounts, makes
 * devices, traces, or becomes somebody else.
 */
const fileCapabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"];

/**
 * The arguments of bwrap(1) up to and with the `--` before the command. No `--new-session`: the agent must stay in the
 * process group by which it is ended, and `startProcess` gives what it starts no terminal to inject into.
 */
export function jailArguments({
  privileges,
  mounts,
  cwd,
  setEnvironment = {},
  kernelFiles,
}: JailArguments): string[] {
  const places = [...new Map(mounts.map((mount) => [mount.at, mount])).values()].sort(
    (a, b) => depth(a.at) - depth(b.at),
  );
  const hidden = places.filter(({ as }) => as === "hidden");
  return [
    ...(privileges === "root" ? [] : ["--unshare-user"]),
    ...["--unshare-pid", "--unshare-ipc", "--die-with-parent", "--cap-drop", "ALL"],
    ...(privileges === "user" ? [] : fileCapabilities.flatMap((name) => ["--cap-add", name])),
    ...["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"],
    // Not for others: who has to be root to write there cannot, and a proc of theirs could not be mounted in a sandbox within.
    ...(privileges === "user" ? [] : kernelFiles.flatMap((path) => ["--ro-bind", path, path])),
    ...places.flatMap(spell),
    // When all that lies in them has its place.
    ...hidden.flatMap(({ at }) => ["--remount-ro", at]),
    ...Object.entries(setEnvironment).flatMap(([name, value]) => ["--setenv", name, value]),
    ...["--chdir", cwd, "--"],
  ];
}

function spell(mount: Mount): string[] {
  switch (mount.as) {
    case "hidden":
      return ["--tmpfs", mount.at];
    case "masked":
      // A device on a file system without devices: it is there, and opening it is refused.
      return ["--ro-bind", "/dev/null", mount.at];
    case "link":
      return ["--symlink", mount.to, mount.at];
    case "readable":
      return [mount.ifThere === true ? "--ro-bind-try" : "--ro-bind", mount.from, mount.at];
    case "writable":
      return ["--bind", mount.from, mount.at];
  }
}

function depth(path: string): number {
  return path.split("/").filter(Boolean).length;
}

/** Variables by which the loader and libc of a program are led to other code or files (ld.so(8)). */
const loaderVariable = /^(LD_|GLIBC_TUNABLES$|GCONV_PATH$|LOCPATH$|MALLOC_)/;

/**
 * Parts an environment in what bubblewrap itself may be started with and what only the agent may have: a job that sets
 * LD_PRELOAD must not load its library into a process that still sees everything.
 */
export function splitEnvironment(environment: Readonly<Record<string, string>>): {
  outside: Record<string, string>;
  inside: Record<string, string>;
} {
  const isForLoader = ([name]: [string, string]) => loaderVariable.test(name);
  const entries = Object.entries(environment);
  return {
    outside: Object.fromEntries(entries.filter((entry) => !isForLoader(entry))),
    inside: Object.fromEntries(entries.filter(isForLoader)),
  };
}
