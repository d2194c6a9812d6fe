import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** What the kernel says of one process in a line (proc_pid_stat(5)); numbers only it knows the meaning of are kept as they are. */
export interface ProcessStat {
  pid: number;
  /** One letter, such as R for running and Z for dead and not yet asked for. */
  state: string;
  parent: number;
  group: number;
  session: number;
  threads: number;
  /** When it began, in clock ticks since boot: with the pid, it names a process for good. */
  start: number;
  /** Resident pages; good for comparing, as a page has no fixed size. */
  residentPages: number;
}

// Synchronous where the kernel answers at once: a trip through the thread pool takes ten times as long. Not so the
// files below that look into a process's memory: those wait for it, and a process can be stuck.

/** Ids of all processes; none where there is no /proc. */
export function processIds(proc: string): number[] {
  try {
    return readdirSync(proc).map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

/** Whether it runs no more, though its parent has not asked for it: nothing of it is left but its number. */
export function isDead({ state }: ProcessStat): boolean {
  return state === "Z" || state === "X";
}

/** Undefined when there is no such process any more. */
export function processStat(proc: string, pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(join(proc, String(pid), "stat"), "latin1");
  } catch {
    return undefined;
  }
  // The second field is the program's name in parentheses, which may hold anything. Behind it begins the third field.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const field = (number: number) => Number(fields[number - 3]);
  return {
    pid,
    state: fields[0] ?? "",
    parent: field(4),
    group: field(5),
    session: field(6),
    threads: field(20),
    start: field(22),
    residentPages: field(24),
  };
}

/** Open file descriptors; undefined when they may not be seen, as those of a process that forbids dumps. */
export function openDescriptors(proc: string, pid: number): number | undefined {
  try {
    return readdirSync(join(proc, String(pid), "fd")).length;
  } catch {
    return undefined;
  }
}

/**
 * KiB of memory that a process answers for: its proportional share (PSS), so that memory which several processes share
 * counts once in their sum, as it does for a container's limit. Its resident set where the kernel does not tell the
 * share; 0 when it is gone. Takes the kernel some milliseconds for some hundred MiB.
 */
export async function memoryKiB(proc: string, pid: number): Promise<number> {
  const read = async (file: string, key: RegExp) => {
    const text = await readFile(join(proc, String(pid), file), "latin1").catch(() => "");
    const found = key.exec(text)?.[1];
    return found === undefined ? undefined : Number(found);
  };
  return (await read("smaps_rollup", /^Pss:\s+(\d+)/m)) ?? (await read("status", /^VmRSS:\s+(\d+)/m)) ?? 0;
}

/** The entries of a process's environment as it was started; none when they may not be seen. */
export async function environmentOf(proc: string, pid: number): Promise<string[]> {
  const text = await readFile(join(proc, String(pid), "environ"), "latin1").catch(() => "");
  return text.split("\0");
}
