import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { startProcess } from "../agents/index.ts";
import type { Skill } from "../skills/index.ts";

const probeTimeoutMs = 120_000;

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
  command: { executable: string; args: string[] },
  context: { cwd: string; env: Record<string, string>; signal: AbortSignal },
): Promise<PythonRuntime> {
  const runtime = skill.manifest.runtime;
  if (runtime?.language !== "python" || runtime.dependencies.length === 0)
    return { ...command, warning: null };
  const uv = await findInPath("uv", context.env.PATH ?? "");
  if (uv === null)
    return { ...command, warning: "uv is not installed: the skill's Python dependencies were not provided" };
  const wrapper = [
    "run",
    "--no-project",
    "--python",
    runtime.version,
    ...runtime.dependencies.flatMap((name) => ["--with", name]),
    "--",
  ];
  const { child } = await startProcess(uv, [...wrapper, "python", "-c", ""], {
    cwd: context.cwd,
    env: context.env,
    extendEnv: false,
    reject: false,
    timeout: probeTimeoutMs,
    cancelSignal: context.signal,
    stdin: "ignore",
    maxBuffer: 256 * 1024,
  });
  const probe = await child;
  if (!probe.failed)
    return { executable: uv, args: [...wrapper, command.executable, ...command.args], warning: null };
  const reason = probe.stderr.trim().split("\n").at(-1) ?? "";
  return { ...command, warning: `uv could not provide the skill's Python dependencies: ${reason}` };
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
