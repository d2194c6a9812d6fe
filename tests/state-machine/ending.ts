import fc from "fast-check";
import { expectSame } from "./checks.ts";
import type { Job, Model } from "./model.ts";
import { Step } from "./step.ts";
import { expectAnswer, type World } from "./world.ts";

const ends = ["succeeded", "failed", "canceled"];

/** Cancels a job and checks the answer. */
export async function cancel(model: Model, world: World, job: Job): Promise<void> {
  const answer = await world.cancel(job.id);
  if (job.status === "deleted") return expectAnswer(answer, 404, { code: "JOB_NOT_FOUND" });
  if (ends.includes(job.status)) return expectAnswer(answer, 200, { accepted: false, status: job.status });
  expectAnswer(answer, 200, { request_id: job.id, accepted: true, status: "canceled" });
  model.leave(job, "canceled", "CANCELED_BY_USER");
}

/** POST /v1/jobs/{id}/cancel. */
class Cancel extends Step {
  readonly at: number;

  constructor(at: number) {
    super();
    this.at = at;
  }

  override check(model: Readonly<Model>): boolean {
    return model.jobs.length > 0;
  }

  protected async act(model: Model, world: World): Promise<void> {
    const job = model.pick(this.at);
    if (job !== undefined) await cancel(model, world, job);
  }

  toString(): string {
    return `cancel(${this.at})`;
  }
}

/** DELETE /v1/jobs/{id}. */
class Delete extends Step {
  readonly at: number;

  constructor(at: number) {
    super();
    this.at = at;
  }

  override check(model: Readonly<Model>): boolean {
    return model.jobs.length > 0;
  }

  protected async act(model: Model, world: World): Promise<void> {
    const job = model.pick(this.at);
    if (job === undefined) return;
    const answer = await world.delete(job.id);
    if (job.status === "deleted") return expectAnswer(answer, 404, { code: "JOB_NOT_FOUND" });
    if (!(ends.includes(job.status) || job.status === "created"))
      return expectAnswer(answer, 409, { code: "JOB_STATE_CONFLICT" });
    expectAnswer(answer, 204, {});
    model.delete(job);
  }

  toString(): string {
    return `delete(${this.at})`;
  }
}

/** The server goes and comes again, now and then so often in a row that what runs is given up. */
class ComeAgain extends Step {
  readonly how: "restart" | "crash";
  readonly times: number;

  constructor(how: ComeAgain["how"], times: number) {
    super();
    this.how = how;
    this.times = times;
  }

  protected async act(model: Model, world: World): Promise<void> {
    for (let time = 1; time <= this.times; time++) {
      // It is as the model says before it goes again: no crash in the middle of a write.
      if (time > 1) await expectSame(model, world);
      await world.harness[this.how]();
      model.restart(this.how);
    }
  }

  toString(): string {
    return `${this.how}(${this.times === 1 ? "" : `${this.times} times`})`;
  }
}

/** The time of a question runs out while the server is down. */
class TimePasses extends Step {
  readonly at: number;
  readonly how: "restart" | "crash";

  constructor(at: number, how: TimePasses["how"]) {
    super();
    this.at = at;
    this.how = how;
  }

  #job(model: Readonly<Model>): Job | undefined {
    // With a line, it would be left open who comes first: the job, or those that the start takes up.
    if (!model.hasRoom) return undefined;
    return model.pick(this.at, ({ status, autoReply }) => status === "waiting_user" && autoReply === 3600);
  }

  override check(model: Readonly<Model>): boolean {
    return this.#job(model) !== undefined;
  }

  protected async act(model: Model, world: World): Promise<void> {
    const job = this.#job(model);
    if (job === undefined) return;
    await world.harness[this.how](() => world.letTimePass(job.id));
    model.restart(this.how);
    model.autoDecide(job);
  }

  toString(): string {
    return `timePasses(${this.at}, ${this.how})`;
  }
}

const comes = fc.constantFrom<ComeAgain["how"]>("restart", "crash");
export const canceling = fc.nat(20).map((at) => new Cancel(at));
export const deleting = fc.nat(20).map((at) => new Delete(at));
export const comingAgain = fc
  .tuple(comes, fc.constantFrom(1, 1, 3))
  .map(([how, times]) => new ComeAgain(how, times));
export const timePassing = fc.tuple(fc.nat(9), comes).map((how) => new TimePasses(...how));
