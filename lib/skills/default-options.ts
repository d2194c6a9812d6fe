import { z } from "zod";
import type { Issue } from "../errors.ts";
import { jsonPointer } from "../json.ts";

/** What a package may preset in `runtime.default_options`. A request's own value always wins over it. */
const presettable: Readonly<Record<string, z.ZodType>> = {
  no_cache: z.boolean(),
  execution_mode: z.enum(["auto", "interactive"]),
  interactive_auto_reply: z.boolean(),
  interactive_reply_timeout_sec: z.int().min(0).max(2_000_000),
  auth_wait_timeout_sec: z.int().min(0).max(2_000_000),
  hard_timeout_seconds: z.int().min(1).max(604_800),
  priority: z.int().min(1).max(10),
  preamble_prompt: z.string().min(1).max(8000),
  env: z.record(z.string().regex(/^[A-Z_][A-Z0-9_]*$/), z.string()),
};

/** Keeps the known options with good values; each other one is dropped with a warning, as old packages carry them. */
export function keepKnownOptions(options: Readonly<Record<string, unknown>>, warnings: Issue[]) {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    const schema = Object.hasOwn(presettable, name) ? presettable[name] : undefined;
    if (schema?.safeParse(value).success) kept[name] = value;
    else {
      const reason = schema ? "its value is not allowed" : `known: ${Object.keys(presettable).join(", ")}`;
      warnings.push({
        pointer: `assets/runner.json#${jsonPointer(["runtime", "default_options", name])}`,
        message: `is ignored: ${reason}`,
        code: "SKILL_RUNTIME_DEFAULT_OPTION_IGNORED",
      });
    }
  }
  return kept;
}
