import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { expect } from "vitest";
import { answering, refused401, type StandInTurn } from "../stand-in.ts";
import type { Job, Model } from "./model.ts";
import { Step } from "./step.ts";
import { eventually, type World } from "./world.ts";

const slotsForFiles = { kind: "upload_files", files: [{ name: "notes" }] };

type Deed = "works" | "finishes" | "asks" | "fails" | "is logged out";

/** What an agent prints for it. */
function turnOf(deed: Deed, job: Job): StandInTurn {
  switch (deed) {
    case "works":
      return { lines: answering({}).slice(0, 4), onCue: true };
    case "finishes":
      return { lines: answering(job.kind === "asks" ? { ok: true, __SKILL_DONE__: true } : { ok: true }) };
    case "asks":
      return { lines: answering({ __SKILL_DONE__: false, message: "Your notes?", ui_hints: slotsForFiles }) };
    case "fails":
      return { exitCode: 3 };
    case "is logged out":
      return { lines: [refused401(1), refused401(2)], exitCode: 1 };
  }
}

/** The agent of a running job does something. */
class AgentActs extends Step {
  readonly at: number;
  readonly deed: Deed;

  constructor(at: number, deed: Deed) {
    super();
    this.at = at;
    this.deed = deed;
  }

  #job(model: Readonly<Model>): Job | undefined {
    return model.pick(
      this.at,
      ({ status, kind, worked }) =>
        status === "running" &&
        (this.deed !== "asks" || kind === "asks") &&
        (this.deed !== "works" || !worked),
    );
  }

  override check(model: Readonly<Model>): boolean {
    return this.#job(model) !== undefined;
  }

  protected async act(model: Model, world: World): Promise<void> {
    const job = this.#job(model);
    if (job === undefined) return;
    await world.harness.cue(job.id, turnOf(this.deed, job));
    switch (this.deed) {
      case "works":
        job.worked = true;
        // That it has begun is stored, so that no crash can take that back.
        return eventually(async () => {
          expect(JSON.parse(await readFile(world.recordPath(job.id), "utf8"))).toMatchObject({
            status: "running",
            attempt: job.attempt,
          });
        });
      case "finishes":
        return model.succeed(job);
      case "asks":
        return model.ask(job);
      case "fails":
        return model.leave(job, "failed", "PROCESS_EXIT_NONZERO");
      case "is logged out":
        // Nobody is asked to log in for a job that runs by itself.
        return job.kind === "asks" ? model.needLogin(job) : model.leave(job, "failed", "AUTH_REQUIRED");
    }
  }

  toString(): string {
    return `agent(${this.at}, ${this.deed})`;
  }
}

const deed = fc.constantFrom<Deed>("works", "finishes", "asks", "asks", "asks", "fails", "is logged out");
export const agentActs = fc.tuple(fc.nat(9), deed).map(([at, what]) => new AgentActs(at, what));
