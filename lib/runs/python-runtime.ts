import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { askCli } from "../agents/index.ts";
import type { Skill } from "../skills/index.ts";

const probeTimeoutMs = 120_000;

interface Command {
  executable: string;
  args: string[];
  env: Record<string, string>;
}

/** A command in front of the agent's own, so that its tools find the Python packages a skill asks for. */
export interface PythonRuntime {
  executable: string;
  args: string[];
  warning: string | null;
}

/**
 * Wraps an agent's command in `uv run --with ...` when the skill declares Python dependencies and uv can provide them;
 * otherwise leaves it as it is, with a warning: the skill may still manage.
 */
export async function withPythonRuntime(
  skill: Skill,
  command: Command,
  context: { cwd: string; signal: AbortSignal; within(process: Command): Promise<Command> },
): Promise<PythonRuntime> {
  const runtime = skill.manifest.runtime;
  const { executable, args } = command;
  if (runtime?.language !== "python" || runtime.dependencies.length === 0)
    return { executable, args, warning: null };
  const uv = await findInPath("uv", command.env.PATH ?? "");
  if (uv === null)
    return {
      executable,
      args,
      warning: "uv is not installed: the skill's Python dependencies were not provided",
    };
  const wrapper = [
    "run",
    "--no-project",
    "--python",
    runtime.version,
    ...runtime.dependencies.flatMap((name) => ["--with", name]),
    "--",
  ];
  // Where the agent will be: packages run code of theirs when they are built, and at every start of Python.
  const asked = await context.within({ ...command, executable: uv, args: [...wrapper, "python", "-c", ""] });
  const probe = await askCli(asked.executable, asked.args, {
    cwd: context.cwd,
    env: asked.env,
    timeoutMs: probeTimeoutMs,
    signal: context.signal,
    maxBuffer: 256 * 1024,
  });
  if (!probe.failed) return { executable: uv, args: [...wrapper, executable, ...args], warning: null };
  const reason = probe.stderr.trim().split("\n").at(-1) ?? "";
  return { executable, args, warning: `uv could not provide the skill's Python dependencies: ${reason}` };
}

async function findInPath(name: string, path: string): Promise<string | null> {
  for (const folder of path.split(delimiter)) {
    const candidate = join(folder, name);
    if (
      folder !== "" &&
      (await access(candidate, constants.X_OK)
        .then(() => true)
        .catch(() => false))
    )
      return candidate;
  }
  return null;
}
