import { realpathSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join, relative, sep } from "node:path";

/** Folders of any Linux that hold what is no agent's business: sockets of services, other users, other containers. */
export const foreignFolders: readonly string[] = [
  "/run",
  "/home",
  "/root",
  "/etc/kubernetes",
  "/etc/ssl/private",
  "/var/lib/containerd",
  "/var/lib/containers",
  "/var/lib/docker",
  "/var/lib/kubelet",
];

/** Files that an agent of root could read. */
export const foreignFiles: readonly string[] = [
  "/etc/shadow",
  "/etc/shadow-",
  "/etc/gshadow",
  "/etc/gshadow-",
];

/** Folders below HOME that hold programs, and no secrets: shown where HOME is hidden, as PATH leads into them. */
export const programFolders: readonly string[] = [
  ".asdf",
  ".bun/bin",
  ".cargo/bin",
  ".deno/bin",
  ".fnm",
  ".local/bin",
  ".local/lib",
  ".local/share/claude/versions",
  ".local/share/fnm",
  ".local/share/mise",
  ".local/share/pnpm",
  ".local/share/uv/python",
  ".local/share/uv/tools",
  ".nvm",
  ".pyenv",
  ".rustup",
  ".volta",
];

const systemFolders = new Set([
  ...["/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/proc", "/sbin", "/sys"],
  ...["/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/local/share"],
  ...["/usr/sbin", "/usr/share", "/var", "/var/lib"],
]);

/** Whether no program would work without the folder. */
export function isSystemFolder(folder: string): boolean {
  return systemFolders.has(folder);
}

/** The path with all links followed; what does not exist yet keeps its name below the folder that does. */
export function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPathOf(parent), basename(path));
  }
}

export function isWithin(path: string, folder: string): boolean {
  const rest = relative(folder, path);
  return rest === "" || (rest !== ".." && !rest.startsWith(`..${sep}`) && !isAbsolute(rest));
}

/** What stands at a path, links followed; null for nothing (or nothing that we may see). */
export function kindOf(path: string): "folder" | "file" | null {
  try {
    const info = statSync(path);
    return info.isDirectory() ? "folder" : info.isFile() ? "file" : null;
  } catch {
    return null;
  }
}

/** HOME as the server's programs see it, with links followed; null when there is none that could be replaced. */
export function homeOf(environment: Readonly<Record<string, string | undefined>>): string | null {
  const home = realPathOf(environment.HOME ?? homedir());
  return isAbsolute(home) && kindOf(home) === "folder" && !isSystemFolder(home) ? home : null;
}
