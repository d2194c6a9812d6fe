import { realpathSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join, relative, sep } from "node:path";

/**
 * Folders of any Linux that hold what is no agent's business: other users, other containers, and sockets by which who may
 * write to them rules the machine. Most of those are below /run (Docker, Podman, containerd), which /var/run is a link to.
 */
export const foreignFolders: readonly string[] = [
  "/run",
  "/var/run",
  "/home",
  "/root",
  "/etc/kubernetes",
  "/etc/ssl/private",
  "/mnt/wsl/docker-desktop",
  "/var/lib/containerd",
  "/var/lib/containers",
  "/var/lib/docker",
  "/var/lib/incus",
  "/var/lib/kubelet",
  "/var/lib/libvirt",
  "/var/lib/lxc",
  "/var/lib/lxcfs",
  "/var/lib/lxd",
  "/var/snap/docker",
  "/var/snap/lxd",
];

/** Variables that say where else such a socket lies: a path, or an address that ends with one (unix:///path). */
export const socketVariables: readonly string[] = [
  "BUILDKIT_HOST",
  "CONTAINER_HOST",
  "CONTAINERD_ADDRESS",
  "DOCKER_HOST",
  "INCUS_SOCKET",
  "LXD_SOCKET",
  "SSH_AUTH_SOCK",
];

/** Variables that name a folder with such sockets, or with the keys to them. */
export const foreignFolderVariables: readonly string[] = [
  "DOCKER_CERT_PATH",
  "DOCKER_CONFIG",
  "INCUS_DIR",
  "LXD_DIR",
  "XDG_RUNTIME_DIR",
];

/**
 * Variables that name a file with keys of the server's own: to its storage (libpq-envars, the AWS SDK's reference of settings),
 * and to npm's registry.
 */
export const keyFileVariables: readonly string[] = [
  "AWS_CONFIG_FILE",
  "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
  "AWS_SHARED_CREDENTIALS_FILE",
  "AWS_WEB_IDENTITY_TOKEN_FILE",
  "NPM_CONFIG_USERCONFIG",
  "PGPASSFILE",
  "PGSERVICEFILE",
  "PGSSLKEY",
];

/** Files that an agent of root could read. They lie among others that programs need. */
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
  ".local/pipx/venvs",
  ".local/share/claude/versions",
  ".local/share/fnm",
  ".local/share/mise",
  ".local/share/pipx",
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
    return realpathSync.native(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPathOf(parent), basename(path));
  }
}

export function isWithin(path: string, folder: string): boolean {
  const rest = relative(folder, path);
  return rest === "" || (rest !== ".." && !rest.startsWith(`..${sep}`) && !isAbsolute(rest));
}

/** What stands at a path, links followed ("other": a socket, a pipe, a device); null for nothing that we may see. */
export function kindOf(path: string): "folder" | "file" | "other" | null {
  try {
    const info = statSync(path);
    return info.isDirectory() ? "folder" : info.isFile() ? "file" : "other";
  } catch {
    return null;
  }
}

/** HOME as the server's programs see it, with links followed; null when there is none that could be replaced. */
export function homeOf(environment: Readonly<Record<string, string | undefined>>): string | null {
  const home = realPathOf(environment.HOME ?? homedir());
  return isAbsolute(home) && kindOf(home) === "folder" && !isSystemFolder(home) ? home : null;
}
