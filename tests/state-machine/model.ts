/** What a job is, as far as its life goes. `deleted` stands for one that is no more. */
export interface Job {
  id: string;
  kind: JobKind;
  status: string;
  /** Attempts so far. */
  attempt: number;
  /** Questions so far; the last one's number. */
  asked: number;
  /** Its agent was heard in this attempt. */
  worked: boolean;
  /** Crashes that cut an attempt short. */
  crashes: number;
  /** Seconds until a question is left to the agent; null: never. */
  autoReply: 0 | 3600 | null;
  /** Under which its answer is kept for others; null: it is not. */
  cacheKey: string | null;
  cacheHit: boolean;
  /** How the next attempt, or the present one, goes on with an earlier; null: it begins anew. */
  resume: { session: boolean; says: string | null } | null;
  /** Replies that were taken under a key. */
  replies: { key: string; id: number; response: string }[];
  /** Code of what it failed of. */
  error: string | null;
}

export type JobKind = "auto" | "asks" | "file" | "temporary";

/** What a request under an idempotency key made. */
interface KeyUse {
  request: string;
  job: Job;
  answer: object;
}

export const slots = 2;
export const queueSize = 2;
const maxRestarts = 2;

export const cutOff = "Your last turn was cut off";
export const nobodyAnswered = "Nobody answered";

/** What the server is to be: all of its jobs, who has a slot, who waits for one in which order, what is in the cache. */
export class Model {
  /** In the order of their ids. */
  readonly jobs: Job[] = [];
  readonly cache = new Map<string, Job>();
  readonly keys = new Map<string, KeyUse>();
  #line: Job[] = [];

  get running(): Job[] {
    return this.jobs.filter(({ status }) => status === "running");
  }

  get queued(): number {
    return this.#line.length;
  }

  get isFull(): boolean {
    return this.running.length >= slots && this.#line.length >= queueSize;
  }

  /** Whether all that could run has a slot, and one more would have one. */
  get hasRoom(): boolean {
    return this.running.length + this.#line.length < slots;
  }

  /** One of the jobs, or undefined when there is none like that. */
  pick(at: number, fits: (job: Job) => boolean = () => true): Job | undefined {
    const fitting = this.jobs.filter(fits);
    return fitting[at % fitting.length];
  }

  enqueue(job: Job): void {
    job.status = "queued";
    this.#line.push(job);
    this.#serve();
  }

  /** A job has ended, waits for somebody or is deleted: its slot or its place in line is free. */
  leave(job: Job, status: string, error: string | null = null): void {
    job.status = status;
    job.error = error;
    this.#line = this.#line.filter((other) => other !== job);
    this.#serve();
  }

  ask(job: Job): void {
    job.asked += 1;
    job.resume = null;
    this.leave(job, "waiting_user");
    if (job.autoReply === 0) this.autoDecide(job);
  }

  autoDecide(job: Job): void {
    job.resume = { session: true, says: nobodyAnswered };
    this.enqueue(job);
  }

  needLogin(job: Job): void {
    if (job.worked) job.resume = { session: true, says: cutOff };
    else job.resume ??= { session: false, says: null };
    this.leave(job, "waiting_auth");
  }

  succeed(job: Job): void {
    if (job.cacheKey !== null) this.cache.set(job.cacheKey, job);
    this.leave(job, "succeeded");
  }

  delete(job: Job): void {
    for (const [key, source] of this.cache) if (source === job) this.cache.delete(key);
    this.leave(job, "deleted");
  }

  /** The server has gone and come again. */
  restart(how: "restart" | "crash"): void {
    for (const job of this.running) {
      if (job.worked) job.resume = { session: true, says: cutOff };
      if (how === "crash") job.crashes += 1;
      job.status = "queued";
      if (job.crashes > maxRestarts) {
        job.status = "failed";
        job.error = "ORCHESTRATOR_RESTART_INTERRUPTED";
      }
    }
    this.#line = this.jobs.filter(({ status }) => status === "queued");
    this.#serve();
  }

  #serve(): void {
    while (this.running.length < slots) {
      const job = this.#line.shift();
      if (job === undefined) return;
      job.status = "running";
      job.attempt += 1;
      job.worked = false;
    }
  }
}

export function newJob(id: string, kind: JobKind, more: Pick<Job, "autoReply" | "cacheKey">): Job {
  return {
    id,
    kind,
    status: "created",
    attempt: 0,
    asked: 0,
    worked: false,
    crashes: 0,
    cacheHit: false,
    resume: null,
    replies: [],
    error: null,
    ...more,
  };
}
