import fc from "fast-check";
import { plainPackage } from "../harness.ts";
import { packageZip, zipOf } from "../package-zip.ts";
import { type Job, type JobKind, type Model, newJob } from "./model.ts";
import { Step } from "./step.ts";
import { expectAnswer, type World } from "./world.ts";

const notes = zipOf({ "notes.md": "# Notes\n" });
const others = zipOf({ "others.txt": "x" });
const mine = packageZip("mine", plainPackage("mine"));

/** What an upload of each kind of job holds. */
const uploads: Record<string, { good: Record<string, Buffer>; wrong: Record<string, Buffer>; code: string }> =
  {
    file: { good: { file: notes }, wrong: { file: others }, code: "INPUT_INVALID" },
    temporary: { good: { skill_package: mine }, wrong: { file: notes }, code: "UPLOAD_INVALID" },
  };

interface Wanted {
  kind: JobKind;
  autoReply: 0 | 3600 | null;
  cacheable: boolean;
  key: string | null;
}

/** POST /v1/jobs. */
class Submit extends Step {
  readonly wanted: Wanted;

  constructor(wanted: Wanted) {
    super();
    this.wanted = wanted;
  }

  protected async act(model: Model, world: World): Promise<void> {
    const { key } = this.wanted;
    const body = bodyOf(this.wanted);
    const answer = await world.submit(body, key);
    const request = JSON.stringify(body);
    const used = key === null ? undefined : model.keys.get(key);
    if (used !== undefined && used.job.status !== "deleted") {
      if (used.request === request) expectAnswer(answer, 200, used.answer);
      else expectAnswer(answer, 422, { code: "IDEMPOTENCY_KEY_REUSED" });
      return;
    }
    const job = this.#made(model, answer.body.request_id);
    if (job === null) return expectAnswer(answer, 429, { code: "QUEUE_FULL" });
    const { id, cacheHit } = job;
    const waits = job.status === "created";
    const told = {
      request_id: id,
      cache_hit: cacheHit,
      status: waits ? null : cacheHit ? "succeeded" : "queued",
    };
    expectAnswer(answer, 200, told);
    model.jobs.push(job);
    if (key !== null) model.keys.set(key, { request, job, answer: told });
    if (!waits && !cacheHit) model.enqueue(job);
  }

  /** The job that this makes, or null when there is no room for it. */
  #made(model: Model, id: string): Job | null {
    const { kind, autoReply, cacheable } = this.wanted;
    const cacheKey = cacheable && kind !== "asks" ? kind : null;
    const job = newJob(id, kind, { autoReply, cacheKey });
    if (kind in uploads) return job;
    if (answeredFromCache(model, job)) return { ...job, status: "succeeded", cacheHit: true };
    return model.isFull ? null : { ...job, status: "queued" };
  }

  toString(): string {
    const { kind, autoReply, cacheable, key } = this.wanted;
    const said = [kind, cacheable && "cacheable", autoReply !== null && `auto ${autoReply}`, key].filter(
      Boolean,
    );
    return `submit(${said.join(", ")})`;
  }
}

function bodyOf({ kind, autoReply, cacheable }: Wanted): object {
  const asks = kind === "asks" && {
    execution_mode: "interactive",
    ...(autoReply !== null && { interactive_auto_reply: true, interactive_reply_timeout_sec: autoReply }),
  };
  return {
    ...(kind === "temporary" ? { skill_source: "temp_upload" } : { skill_id: kind }),
    runtime_options: { no_cache: !cacheable, ...asks },
  };
}

function answeredFromCache(model: Model, { cacheKey }: Job): boolean {
  return cacheKey !== null && model.cache.has(cacheKey);
}

/** POST /v1/jobs/{id}/upload. */
class Upload extends Step {
  readonly at: number;
  readonly good: boolean;

  constructor(at: number, good: boolean) {
    super();
    this.at = at;
    this.good = good;
  }

  #job(model: Readonly<Model>): Job | undefined {
    // Mostly one that waits for it: to others, it is refused.
    const waits = model.pick(this.at, ({ status }) => status === "created");
    return this.at % 4 === 0 ? model.pick(this.at) : waits;
  }

  override check(model: Readonly<Model>): boolean {
    return this.#job(model) !== undefined;
  }

  protected async act(model: Model, world: World): Promise<void> {
    const job = this.#job(model);
    if (job === undefined) return;
    const { good, wrong, code } = uploads[job.kind] ?? {
      good: { file: notes },
      wrong: { file: others },
      code: "",
    };
    const answer = await world.upload(job.id, this.good ? good : wrong);
    if (job.status === "deleted") return expectAnswer(answer, 404, { code: "JOB_NOT_FOUND" });
    if (job.status !== "created") return expectAnswer(answer, 409, { code: "JOB_STATE_CONFLICT" });
    if (!this.good) return expectAnswer(answer, 400, { code });
    if (answeredFromCache(model, job)) {
      expectAnswer(answer, 200, { cache_hit: true, status: "succeeded" });
      job.cacheHit = true;
      return model.leave(job, "succeeded");
    }
    if (model.isFull) return expectAnswer(answer, 429, { code: "QUEUE_FULL" });
    expectAnswer(answer, 200, { request_id: job.id, cache_hit: false, status: "queued" });
    model.enqueue(job);
  }

  toString(): string {
    return `upload(${this.at}, ${this.good ? "good" : "wrong"})`;
  }
}

const wanted = fc.oneof(
  fc.record<Wanted>({
    kind: fc.constantFrom("auto", "file", "temporary"),
    autoReply: fc.constant(null),
    cacheable: fc.boolean(),
    key: fc.constantFrom(null, null, "k1", "k2"),
  }),
  fc.record<Wanted>({
    kind: fc.constant("asks"),
    autoReply: fc.constantFrom(null, null, 0, 3600),
    cacheable: fc.constant(false),
    key: fc.constantFrom(null, null, null, "k1"),
  }),
);
export const submits = wanted.map((asked) => new Submit(asked));
export const uploading = fc.tuple(fc.nat(20), fc.nat(3)).map(([at, how]) => new Upload(at, how !== 0));
