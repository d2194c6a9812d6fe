import fc from "fast-check";
import { test } from "vitest";
import { agentActs } from "./agent.ts";
import { loggingIn, replying, replyingAgain, replyingWithFile } from "./answers.ts";
import { expectAllEnded, expectSame } from "./checks.ts";
import { cancel, canceling, comingAgain, deleting, timePassing } from "./ending.ts";
import { Model } from "./model.ts";
import { replayed, replayPath } from "./replay.ts";
import { submits, uploading } from "./submission.ts";
import { World } from "./world.ts";

/**
 * Often what brings jobs on, now and then what ends them. Of 40 that are drawn about 11 are carried out: the others find
 * no job to do it to.
 */
const steps = [
  ...[submits, submits, uploading, agentActs, agentActs, agentActs, agentActs, agentActs],
  ...[replying, replying, replyingAgain, replyingAgain, replyingWithFile, loggingIn],
  ...[timePassing, comingAgain, canceling, deleting],
];

/**
 * Random sequences of what callers, agents and operators do, against the whole server. replay.ts says how
 * a failure is played again.
 */
test("jobs live as the model says, whatever is done to them in whatever order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.commands(steps, { maxCommands: 40, size: "max", ...replayPath() }),
      async (sequence) => {
        const model = new Model();
        const world = await World.start();
        try {
          await fc.asyncModelRun(() => ({ model, real: world }), sequence);
          for (const job of model.jobs) if (job.status !== "deleted") await cancel(model, world, job);
          await expectSame(model, world);
          await expectAllEnded(model, world);
        } finally {
          await world.harness.close();
        }
      },
    ),
    { numRuns: 40, interruptAfterTimeLimit: 240_000, ...replayed() },
  );
}, 600_000);
