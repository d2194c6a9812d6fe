import { execFileSync } from "node:child_process";
import {
  closeSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system of its own (tmpfs) that a test may fill or make read-only without harm to anybody. */
export interface SmallDisk {
  /** Folder for the data directory. */
  dataDir: string;
  /** Fills it up, but for this many bytes (tmpfs counts in pages of 4 KiB). */
  fill(leaveBytes?: number): void;
  /** Gives the space back. */
  free(): void;
  /** @throws Error EBUSY for "ro" while a file is open for writing */
  remount(mode: "ro" | "rw"): void;
  unmount(): void;
}

/** Null where this user may not mount (no root, no CAP_SYS_ADMIN). */
export function mountSmallDisk(mebibytes: number): SmallDisk | null {
  const folder = mkdtempSync(join(tmpdir(), "small-disk-"));
  try {
    mount(["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", folder]);
  } catch {
    rmdirSync(folder);
    return null;
  }
  const filler = join(folder, "filler");
  return {
    dataDir: join(folder, "data"),
    fill(leaveBytes = 0) {
      fillUp(filler);
      if (leaveBytes > 0) truncateSync(filler, Math.max(0, statSync(filler).size - leaveBytes));
    },
    free: () => rmSync(filler, { force: true }),
    remount: (mode) => mount(["-o", `remount,${mode}`, folder]),
    unmount() {
      // Lazy: an agent that was just killed may still be on its way out.
      execFileSync("umount", ["--lazy", folder]);
      rmdirSync(folder);
    },
  };
}

function mount(args: string[]): void {
  execFileSync("mount", args, { stdio: ["ignore", "ignore", "pipe"] });
}

function fillUp(path: string): void {
  const file = openSync(path, "a");
  try {
    for (let bytes = 1024 * 1024; bytes >= 1; bytes = Math.floor(bytes / 2)) {
      const chunk = Buffer.alloc(bytes);
      while (written(file, chunk));
    }
  } finally {
    closeSync(file);
  }
}

function written(file: number, chunk: Buffer): boolean {
  try {
    return writeSync(file, chunk) === chunk.length;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOSPC") return false;
    throw error;
  }
}
