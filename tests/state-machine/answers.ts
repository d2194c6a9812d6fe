import fc from "fast-check";
import type { Job, Model } from "./model.ts";
import { Step } from "./step.ts";
import { expectAnswer, type World } from "./world.ts";

/** Mostly a job in this state: to others, the same is refused. */
function pickIn(model: Readonly<Model>, at: number, status: string): Job | undefined {
  return at % 4 === 0 ? model.pick(at) : model.pick(at, (job) => job.status === status);
}

/** Why a job takes no reply, or null when it takes one. */
function refusal(job: Job, id: number): [status: number, code: string] | null {
  if (job.status === "deleted") return [404, "JOB_NOT_FOUND"];
  if (job.kind !== "asks") return [400, "JOB_NOT_INTERACTIVE"];
  if (job.status !== "waiting_user") return [409, "JOB_STATE_CONFLICT"];
  return id === job.asked ? null : [409, "STALE_INTERACTION"];
}

/** Replies to a job and checks the answer. */
async function reply(
  model: Model,
  world: World,
  job: Job,
  { key, id, response }: { key: string | null; id: number; response: string },
): Promise<void> {
  const answer = await world.reply(job.id, { interaction_id: id, response, idempotency_key: key });
  const earlier = job.replies.find((taken) => taken.key === key);
  if (earlier !== undefined && job.status !== "deleted") {
    const same = earlier.id === id && earlier.response === response;
    if (same) expectAnswer(answer, 200, { accepted: true, mode: "interaction" });
    else expectAnswer(answer, 409, { code: "IDEMPOTENCY_CONFLICT" });
    return;
  }
  const refused = refusal(job, id);
  if (refused !== null) return expectAnswer(answer, refused[0], { code: refused[1] });
  expectAnswer(answer, 200, { request_id: job.id, status: "queued", mode: "interaction" });
  if (key !== null) job.replies.push({ key, id, response });
  job.resume = { session: true, says: response };
  model.enqueue(job);
}

/** POST /v1/jobs/{id}/interaction/reply. */
class Reply extends Step {
  readonly at: number;
  readonly to: "the question" | "another";
  readonly key: string | null;
  readonly response: string;

  constructor(at: number, to: Reply["to"], key: string | null, response: string) {
    super();
    this.at = at;
    this.to = to;
    this.key = key;
    this.response = response;
  }

  override check(model: Readonly<Model>): boolean {
    return pickIn(model, this.at, "waiting_user") !== undefined;
  }

  protected async act(model: Model, world: World): Promise<void> {
    const job = pickIn(model, this.at, "waiting_user");
    if (job === undefined) return;
    const id = Math.max(1, job.asked) + (this.to === "another" ? 1 : 0);
    await reply(model, world, job, { key: this.key, id, response: this.response });
  }

  toString(): string {
    return `reply(${this.at}, to ${this.to}, "${this.response}"${this.key === null ? "" : ` under ${this.key}`})`;
  }
}

/** A reply that was taken comes again under its key: as it was, or with another body. */
class ReplyAgain extends Step {
  readonly at: number;
  readonly same: boolean;

  constructor(at: number, same: boolean) {
    super();
    this.at = at;
    this.same = same;
  }

  #job(model: Readonly<Model>): Job | undefined {
    return model.pick(this.at, ({ replies }) => replies.length > 0);
  }

  override check(model: Readonly<Model>): boolean {
    return this.#job(model) !== undefined;
  }

  protected async act(model: Model, world: World): Promise<void> {
    const job = this.#job(model);
    const taken = job?.replies[this.at % job.replies.length];
    if (job === undefined || taken === undefined) return;
    const response = this.same ? taken.response : `not ${taken.response}`;
    await reply(model, world, job, { ...taken, response });
  }

  toString(): string {
    return `replyAgain(${this.at}, ${this.same ? "the same" : "another body"})`;
  }
}

/** POST /v1/jobs/{id}/interaction/reply/files. */
class ReplyWithFile extends Step {
  readonly at: number;
  readonly slot: string;

  constructor(at: number, slot: string) {
    super();
    this.at = at;
    this.slot = slot;
  }

  override check(model: Readonly<Model>): boolean {
    return pickIn(model, this.at, "waiting_user") !== undefined;
  }

  protected async act(model: Model, world: World): Promise<void> {
    const job = pickIn(model, this.at, "waiting_user");
    if (job === undefined) return;
    const id = Math.max(1, job.asked);
    const answer = await world.replyWithFile(job.id, {
      interaction_id: id,
      bindings: [{ slot: this.slot, file_index: 0 }],
    });
    const refused = refusal(job, id) ?? (this.slot === "notes" ? null : [422, "REPLY_INVALID"]);
    if (refused !== null) return expectAnswer(answer, refused[0], { code: refused[1] });
    expectAnswer(answer, 200, { request_id: job.id, status: "queued", mode: "interaction" });
    job.resume = { session: true, says: "- notes: uploads/" };
    model.enqueue(job);
  }

  toString(): string {
    return `replyWithFile(${this.at}, ${this.slot})`;
  }
}

/** Somebody says that the agent is logged in, or hands in a key. */
class LogIn extends Step {
  readonly at: number;
  readonly kind: "api_key" | "retry";
  readonly stale: boolean;

  constructor(at: number, kind: LogIn["kind"], stale: boolean) {
    super();
    this.at = at;
    this.kind = kind;
    this.stale = stale;
  }

  override check(model: Readonly<Model>): boolean {
    return pickIn(model, this.at, "waiting_auth") !== undefined;
  }

  protected async act(model: Model, world: World): Promise<void> {
    const job = pickIn(model, this.at, "waiting_auth");
    if (job === undefined) return;
    const { body } = await world.pending(job.id);
    const session = body.pending_auth?.auth_session_id ?? "none";
    const answer = await world.reply(job.id, {
      mode: "auth",
      auth_session_id: this.stale ? "another" : session,
      submission: { kind: this.kind, value: "sk-1" },
    });
    if (job.status === "deleted") return expectAnswer(answer, 404, { code: "JOB_NOT_FOUND" });
    if (job.status !== "waiting_auth") return expectAnswer(answer, 409, { code: "JOB_STATE_CONFLICT" });
    if (this.stale) return expectAnswer(answer, 409, { code: "STALE_INTERACTION" });
    expectAnswer(answer, 200, { status: "queued", mode: "auth" });
    model.enqueue(job);
  }

  toString(): string {
    return `logIn(${this.at}, ${this.kind}${this.stale ? ", stale" : ""})`;
  }
}

const question = fc.constantFrom<Reply["to"]>("the question", "the question", "another");
export const replying = fc
  .tuple(fc.nat(20), question, fc.constantFrom(null, "r1", "r2"), fc.constantFrom("yes", "no"))
  .map((how) => new Reply(...how));
export const replyingAgain = fc.tuple(fc.nat(20), fc.boolean()).map(([at, same]) => new ReplyAgain(at, same));
export const replyingWithFile = fc
  .tuple(fc.nat(20), fc.constantFrom("notes", "notes", "nothing"))
  .map((how) => new ReplyWithFile(...how));
export const loggingIn = fc
  .tuple(fc.nat(20), fc.constantFrom<LogIn["kind"]>("api_key", "retry"), fc.boolean())
  .map((how) => new LogIn(...how));
