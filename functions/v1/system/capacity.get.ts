import { z } from "zod";
import { defineFunction } from "../../../runtime/function.ts";

const need = z.object({
  memory_mib: z.int(),
  pids: z.int().describe("Processes and threads."),
  fds: z.int(),
});
const budget = z.object({
  memory_mib: z.int().nullable(),
  pids: z.int().nullable(),
  fds: z.int().nullable(),
});
const uses = z.record(z.string(), z.object({ limit: z.int(), running: z.int() }));
const source = z.enum(["setting", "measured", "built_in", "default"]);

export default defineFunction({
  summary: "How many runs this machine takes at once, and why",
  scope: "read",
  tags: ["system"],
  responses: {
    200: {
      description: "What was probed, the limits that follow, and how much of them is in use",
      schema: z.looseObject({
        probe: z.looseObject({}),
        decision: z.looseObject({ max_concurrent: z.int(), reason: z.string(), bounded_by: z.string() }),
        running: z.int(),
        queued: z.int(),
        max_concurrent: z.int(),
        max_queue_size: z.int(),
        budget: budget.describe(
          "What all runs together may need. Null: no limit, or none that could be read.",
        ),
        reserved: need.describe("What the runs in slots are thought to need."),
        short_of: z
          .enum(["memory_mib", "pids", "fds"])
          .nullable()
          .describe(
            "What the first job in the queue that no limit of its own holds back waits for, when it is not a slot.",
          ),
        limits: z
          .object({ engines: uses, skills: uses })
          .describe("Engines and skills of which only so many jobs run at once, and how many do now."),
        engines: z
          .record(
            z.string(),
            z.object({
              estimate: need.describe("What its next run is thought to need."),
              source: z.object({ memory_mib: source, pids: source, fds: source }),
              samples: z.int().describe("Measured runs that count, at most 20."),
            }),
          )
          .describe("By engine."),
      }),
    },
  },
  handler: ({ services }) => services.capacity.describe(),
});
