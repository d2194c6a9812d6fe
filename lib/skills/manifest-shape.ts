import { z } from "zod";

const text = z.string().min(1, "must not be empty");

/** A path below the package. Whether the file is there is asked when it is used. */
const relativePath = z.string();

const uniqueList = <T extends z.ZodType>(item: T) =>
  z.array(item).refine((list) => new Set(list).size === list.length, "must not name anything twice");

const engineList = uniqueList(text).refine(
  (list) => list.length > 0,
  "must not be empty; leave it out instead",
);

const runtime = z.object({
  language: text.default("python"),
  version: text.default("3.11"),
  dependencies: z.array(text).default([]),
  default_options: z.record(z.string(), z.unknown()).default({}),
});

/** The shape of `assets/runner.json`. Keys it does not name are allowed and left out. */
export const manifestShape = z.object({
  id: text,
  version: text.default("1.0.0"),
  name: z.string().nullish(),
  description: z.string().nullish(),
  execution_modes: uniqueList(z.enum(["auto", "interactive"])).refine(
    (modes) => modes.length > 0,
    'must name "auto", "interactive" or both',
  ),
  engines: engineList.optional(),
  unsupported_engines: uniqueList(text).default([]),
  unsupport_engine: z.undefined({ error: "is an old key; it is called unsupported_engines now" }).optional(),
  max_attempt: z.int().min(1).nullish(),
  schemas: z
    .object({
      input: relativePath.optional(),
      parameter: relativePath.optional(),
      output: relativePath.optional(),
    })
    .default({}),
  engine_configs: z.record(text, relativePath).default({}),
  entrypoint: z
    .object({
      prompts: z.record(text, z.string()).default({}),
      result_json_filename: text.optional(),
    })
    .default({ prompts: {} }),
  artifacts: z
    .array(
      z.object({
        role: text,
        pattern: text,
        mime: z.string().optional(),
        required: z.boolean().default(false),
      }),
    )
    .default([]),
  runtime: runtime.nullish(),
  mcp: z.object({ required_servers: uniqueList(text).default([]) }).default({ required_servers: [] }),
});
