import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { codeOf } from "./config-folders.ts";
import { makeFolder } from "./make-folder.ts";

/** Milliseconds after which somebody else is said to hold the lock. */
const patienceMs = 300;

export interface LockOptions {
  signal?: AbortSignal;
  /** Somebody else installs into the prefix; called once. */
  onWait?(): void;
}

/** The lock a task runs under, and what it may tell it. */
export interface InstallLock {
  /** False where there is no flock(1): another process may be installing into the prefix at the same time. */
  isExclusive: boolean;
  /** A process group that must not outlive us: it is killed before the lock is free again. Null when it has ended. */
  guard(group: number | null): void;
}

/** Holds the lock until its stdin ends, then kills the group it was last told of. */
const holderScript = `echo held
while read -r line; do group=$line; done
[ -z "$group" ] || kill -s KILL -- "-$group"`;

/**
 * Runs `task` while no other process installs into the npm prefix. The lock is the kernel's (flock(1) of util-linux, held
 * by a small child that lives as long as our end of its stdin is open): a `kill -9` frees it at once, and it counts
 * between containers that share the volume, where a process id in a lock file would mean nothing. Where there is no
 * flock(1) (macOS), installs of other processes are not waited for. Each works in a folder of its own, so the task must
 * then leave alone what another may still be at work with.
 */
export async function withInstallLock<T>(
  npmPrefix: string,
  { signal, onWait }: LockOptions,
  task: (lock: InstallLock) => Promise<T>,
): Promise<T> {
  await makeFolder(npmPrefix);
  signal?.throwIfAborted();
  const { release, ...lock } = await hold(join(npmPrefix, ".skill-runner.lock"), signal, onWait);
  try {
    return await task(lock);
  } finally {
    await release();
  }
}

type Held = InstallLock & { release(): Promise<void> };

const unlocked: Held = { isExclusive: false, guard() {}, release: async () => undefined };

function hold(path: string, signal?: AbortSignal, onWait?: () => void): Promise<Held> {
  return new Promise((resolve, reject) => {
    // A session of its own: Ctrl-C in a terminal must not end the holder before its owner has cleaned up.
    const holder: ChildProcess = spawn("flock", ["-x", path, "sh", "-c", holderScript], { detached: true });
    holder.once("error", (error) =>
      settle(() => (codeOf(error) === "ENOENT" ? resolve(unlocked) : reject(error))),
    );
    // Out of file descriptors there are no streams; the error comes all the same.
    const { stdin, stdout, stderr } = holder;
    const gone = new Promise<void>((done) => holder.once("close", () => done()));
    const patience = setTimeout(() => onWait?.(), patienceMs);
    const abort = () => {
      // While it waits for the lock it does not read its stdin.
      holder.kill("SIGKILL");
      settle(() => reject(signal?.reason));
    };
    const settle = (how: () => void) => {
      clearTimeout(patience);
      signal?.removeEventListener("abort", abort);
      how();
    };
    signal?.addEventListener("abort", abort, { once: true });
    // A holder that has gone is told by its end.
    stdin?.on("error", () => undefined);
    let words = "";
    stderr?.on("data", (chunk: Buffer) => {
      words += chunk.toString();
    });
    stdout?.once("data", () => {
      const guard = (group: number | null) => void stdin?.write(`${group ?? ""}\n`);
      const release = () => {
        stdin?.end();
        return gone;
      };
      settle(() => resolve({ isExclusive: true, guard, release }));
    });
    holder.once("close", () =>
      settle(() => reject(new Error(`the npm prefix could not be locked: ${words.trim()}`))),
    );
  });
}
