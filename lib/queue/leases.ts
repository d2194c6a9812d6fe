import type { Worker } from "bullmq";

/** A job in hand. */
export interface Lease {
  /** Aborts when the job may be another server's by now. */
  lost: AbortSignal;
  end(): void;
}

/** Keeps BullMQ's locks of the jobs in hand alive, and says so when one is lost. */
export interface Leases {
  /** @param since when Redis was asked for the job, in milliseconds of this process */
  hold(worker: Worker, jobId: string, token: string, since: number): Lease;
  isBusy(worker: Worker): boolean;
  close(): void;
}

interface Entry {
  worker: Worker;
  jobId: string;
  token: string;
  /** When Redis was last asked to go on with it, and did, in milliseconds of this process. */
  renewedAt: number;
  lost: AbortController;
}

/** @param parts.leaseMs how long a lock lasts that nobody renews */
export function createLeases(parts: {
  leaseMs: number;
  log: { warn(fields: object, message: string): void };
}): Leases {
  const { leaseMs, log } = parts;
  const held = new Set<Entry>();

  function lose(entry: Entry, why: string): void {
    held.delete(entry);
    log.warn({ job: entry.jobId }, `the lease of a job was lost: ${why}`);
    entry.lost.abort();
  }

  async function renew(worker: Worker, entries: readonly Entry[]): Promise<void> {
    const askedAt = performance.now();
    const refused = new Set(
      await worker.extendJobLocks(
        entries.map(({ jobId }) => jobId),
        entries.map(({ token }) => token),
        leaseMs,
      ),
    );
    for (const entry of entries) {
      if (!refused.has(entry.jobId)) entry.renewedAt = askedAt;
      else if (held.has(entry)) lose(entry, "it was given to another server");
    }
  }

  function renewAll(): void {
    const byWorker = new Map<Worker, Entry[]>();
    for (const entry of held) byWorker.set(entry.worker, [...(byWorker.get(entry.worker) ?? []), entry]);
    for (const [worker, entries] of byWorker)
      renew(worker, entries).catch((error: unknown) =>
        log.warn({ err: error }, "leases could not be renewed; trying again"),
      );
  }

  // Apart from the renewals, which may wait for a connection: what is not known to be ours in time is not ours.
  function dropSilent(): void {
    const now = performance.now();
    for (const entry of [...held])
      if (now - entry.renewedAt > leaseMs * 0.9) lose(entry, "Redis could not be reached in time");
  }

  const renewals = setInterval(renewAll, leaseMs / 4);
  const looks = setInterval(dropSilent, leaseMs / 20);
  renewals.unref();
  looks.unref();

  return {
    hold(worker, jobId, token, since) {
      const lost = new AbortController();
      const entry: Entry = { worker, jobId, token, renewedAt: since, lost };
      held.add(entry);
      return { lost: lost.signal, end: () => void held.delete(entry) };
    },
    isBusy: (worker) => [...held].some((entry) => entry.worker === worker),
    close() {
      clearInterval(renewals);
      clearInterval(looks);
    },
  };
}
