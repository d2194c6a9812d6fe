import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { RunnerError } from "../errors.ts";
import { createTimeLimit } from "../time-limit.ts";

const timeoutMs = 500;
const maxRange = 10_000;

/** Renders a Jinja2 template: data in, text out. @throws RunnerError SKILL_INVALID when the template cannot be rendered. */
export function renderTemplate(template: string, variables: Readonly<Record<string, unknown>>): string {
  try {
    const program = parse(tokenize(template));
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...constants, ...variables, range })) {
      environment.set(name, value);
    }
    // A template with nested loops must not hold the server.
    return createTimeLimit(timeoutMs)(() => String(new Interpreter(environment).run(program).value));
  } catch (error) {
    throw new RunnerError(
      "SKILL_INVALID",
      `The skill's prompt template cannot be rendered: ${reasonOf(error)}`,
      {
        issues: [{ pointer: "assets/runner.json#/entrypoint/prompts", message: reasonOf(error) }],
        cause: error,
      },
    );
  }
}

/** What is wrong with a template's syntax, or null. */
export function templateProblem(template: string): string | null {
  try {
    parse(tokenize(template));
    return null;
  } catch (error) {
    return reasonOf(error);
  }
}

const constants = { true: true, false: false, none: null, True: true, False: false, None: null };

/** Jinja's own range, bounded: an unbounded one ends the process when memory runs out. */
function range(first: number, end?: number, step = 1): number[] {
  const [start, stop] = end === undefined ? [0, first] : [first, end];
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= maxRange)) throw new Error(`range() gives at most ${maxRange} numbers`);
  return Array.from({ length: count }, (_, index) => start + index * step);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
