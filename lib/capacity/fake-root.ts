import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type CapacityProbe, probeCapacity } from "./probe.ts";

/** Test support: lays out `files` as a file system root and probes it as a machine with 8 cores. */
export async function probeFiles(files: Record<string, string>): Promise<CapacityProbe> {
  const root = await mkdtemp(join(tmpdir(), "capacity-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    return await probeCapacity({ root, hostCores: () => 8 });
  } finally {
    await rm(root, { recursive: true });
  }
}

/** The text of /proc/self/limits with these soft limits. */
export function limitsFile(nofile: string, nproc: string): string {
  return [
    "Limit                     Soft Limit           Hard Limit           Units     ",
    `Max processes             ${nproc.padEnd(21)}unlimited            processes `,
    `Max open files            ${nofile.padEnd(21)}1048576              files     `,
  ].join("\n");
}

/** A machine of 32 GiB with 16 GiB available, 1024 descriptors and no process limit. */
export const hostFiles = {
  "proc/meminfo": "MemTotal:       33554432 kB\nMemFree:         1000000 kB\nMemAvailable:   16777216 kB\n",
  "proc/self/limits": limitsFile("1024", "unlimited"),
};
