import { z } from "zod";
import { defaultPriority } from "../capacity/index.ts";
import type { Issue } from "../errors.ts";
import { RunnerError } from "../errors.ts";
import { jsonPointer } from "../json.ts";

const maxEnvironmentNames = 64;
const maxEnvironmentValue = 8192;
const maxPreamble = 8000;
/** Longer waits do not fit a Node timer, which counts milliseconds in 31 bits. */
const maxSeconds = 2_000_000;

/**
 * Names that would change which program runs, as whom, where its settings and credentials lie, or where the server's own
 * keys are sent, rather than what the agent is told.
 */
const refusedNames =
  /^(PATH|HOME|SHELL|USER|LOGNAME|TMPDIR|IFS|BASH_ENV|ENV|PYTHON(PATH|HOME|STARTUP)|.*_(HOME|PROXY|BASE_URL|CA_BUNDLE)|(LD|DYLD|SKILL_RUNNER|NPM_CONFIG|GIT|NODE|UV|XDG|SSL)_.*)$/;

const environment = z
  .record(
    z
      .string()
      .regex(
        /^[A-Z_][A-Z0-9_]{0,127}$/,
        "must be a name like MY_VARIABLE (A-Z, 0-9, _; at most 128 characters)",
      ),
    z
      .string()
      .max(maxEnvironmentValue)
      .refine((value) => !value.includes("\0"), "must not hold a NUL character"),
  )
  .refine(
    (env) => Object.keys(env).length <= maxEnvironmentNames,
    `must have at most ${maxEnvironmentNames} names`,
  )
  .superRefine((env, context) => {
    for (const name of Object.keys(env).filter((candidate) => refusedNames.test(candidate))) {
      context.addIssue({ code: "custom", path: [name], message: "may not be set by a run" });
    }
  });

/** `runtime_options` of a job: the whole white list, with the defaults that do not depend on the server. */
export const runtimeOptions = z.strictObject({
  no_cache: z.boolean().default(false).describe("Neither read nor write the result cache."),
  execution_mode: z.enum(["auto", "interactive"]).default("auto"),
  interactive_auto_reply: z
    .boolean()
    .default(false)
    .describe("A question that nobody answers in time is left to the agent."),
  interactive_reply_timeout_sec: z.int().min(0).max(maxSeconds).optional().describe("Seconds until then."),
  auth_wait_timeout_sec: z
    .int()
    .min(0)
    .max(maxSeconds)
    .optional()
    .describe("Seconds the job waits for its agent to be logged in, when it is not; 0: it fails at once."),
  hard_timeout_seconds: z
    .int()
    .min(1)
    .max(604_800)
    .optional()
    .describe("Ends the run after this long in the running state."),
  env: environment
    .optional()
    .describe("Extra environment of the agent. Never stored with the job nor shown again."),
  priority: z
    .int()
    .min(1)
    .max(10)
    .default(defaultPriority)
    .describe(
      "Of the jobs that wait, the one with the least number is served first: 1 (first) to 10 (last).",
    ),
  preamble_prompt: z
    .string()
    .min(1)
    .max(maxPreamble)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses
    .regex(/^[^\x00-\x08\x0b-\x1f\x7f]*$/, "must not hold control characters other than newline and tab")
    .optional()
    .describe("Text put before the task in the first prompt."),
});
export type RuntimeOptions = z.infer<typeof runtimeOptions>;

/**
 * Merges what the request asks for over the skill's `runtime.default_options`.
 * @throws RunnerError OPTION_INVALID with a pointer per wrong option.
 */
export function resolveOptions(
  skillDefaults: Record<string, unknown>,
  requested: Record<string, unknown>,
): RuntimeOptions {
  const parsed = runtimeOptions.safeParse({ ...skillDefaults, ...requested });
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.flatMap(issuesOf);
  throw new RunnerError(
    "OPTION_INVALID",
    `runtime_options: ${issues.map((issue) => issue.message).join("; ")}`,
    { issues },
  );
}

function issuesOf(issue: z.core.$ZodIssue): Issue[] {
  const at = ["runtime_options", ...issue.path];
  if (issue.code !== "unrecognized_keys") return [{ pointer: jsonPointer(at), message: issue.message }];
  const known = Object.keys(runtimeOptions.shape).join(", ");
  return issue.keys.map((key) => ({
    pointer: jsonPointer([...at, key]),
    message: `${key} is no known option; known options: ${known}`,
  }));
}
