import { readFile } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { z } from "zod";

const variableName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "is no name of an environment variable");
const relativePath = z
  .string()
  .regex(/^[^/\0][^\0]*$/, "must be a relative path")
  .refine((path) => !path.split("/").includes(".."), 'may not hold ".."');

const definition = z.strictObject({
  /** What people call it. */
  title: z.string().min(1).optional(),
  /** Name of an executable in the npm prefix or in PATH, or its absolute path. */
  command: z
    .string()
    .min(1)
    .refine((command) => isAbsolute(command) || !command.includes("/"), "must be a name or an absolute path"),
  /** What makes the CLI speak the protocol, such as `--acp`. */
  args: z.array(z.string()).default([]),
  /** Constants added to its environment. */
  env: z.record(variableName, z.string()).default({}),
  /** Folder in the workspace where it looks for skills. */
  skills_folder: relativePath.default(".agents/skills"),
  /** Variables of the server's environment it may see. */
  environment: z.array(variableName).default([]),
  /** Variables that hold a key that stands in for a login; it may see them too. */
  key_variables: z.array(variableName).default([]),
  /** Files below HOME one of which a login leaves. */
  credential_files: z.array(relativePath).default([]),
  /** Files and folders below HOME that it reads in the runner's sandbox: its settings. */
  settings: z.array(relativePath).default([]),
  /** Id of the method to authenticate with when it asks for that. */
  auth_method: z.string().min(1).optional(),
  /** Option that takes the model's name, such as `--model`. Without it the session's own model option is set. */
  model_arg: z.string().min(1).optional(),
  /** Memory one run needs, in MiB. */
  memory_mib: z.int().min(1).default(512),
});

const file = z.strictObject({ agents: z.record(z.string(), definition) });

/** One agent of the definition file, with what it left out. */
export type AcpDefinition = z.infer<typeof definition> & { id: string };

const idPattern = /^[a-z][a-z0-9-]{0,31}$/;

export interface ReadAcpOptions {
  /** Ids of the agents there are already. */
  taken: readonly string[];
  /** Whether the file may be missing, which means that there are no such agents. */
  optional: boolean;
}

/**
 * Reads the file that defines agents which speak the Agent Client Protocol on stdio.
 * @throws Error naming the file, the place in it (a JSON pointer) and what is wrong there
 */
export async function readAcpDefinitions(path: string, options: ReadAcpOptions): Promise<AcpDefinition[]> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const isMissing =
      error instanceof Error && "code" in error && /^(ENOENT|ENOTDIR)$/.test(String(error.code));
    if (options.optional && isMissing) return [];
    throw new Error(`The file of ACP agents cannot be read: ${messageOf(error)}`);
  }
  const parsed = file.safeParse(parse(path, text));
  if (!parsed.success) throw refusal(path, parsed.error.issues.map(describeIssue));
  const agents = Object.entries(parsed.data.agents).map(([id, agent]) => ({ id, ...agent }));
  const bad = agents.flatMap(({ id }) => {
    if (!idPattern.test(id)) return [`${pointer(["agents", id])}: the id must match ${idPattern.source}`];
    return options.taken.includes(id)
      ? [`${pointer(["agents", id])}: there is a built-in agent of this id`]
      : [];
  });
  if (bad.length > 0) throw refusal(path, bad);
  return agents;
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw refusal(path, [`not valid JSON: ${messageOf(error)}`]);
  }
}

function describeIssue(issue: z.core.$ZodIssue): string {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => `${pointer([...issue.path, key])}: there is no such field`).join("\n  ");
  }
  return `${pointer(issue.path)}: ${issue.message}`;
}

function pointer(path: readonly PropertyKey[]): string {
  const parts = path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`);
  return parts.length === 0 ? "the whole file" : parts.join("");
}

function refusal(path: string, lines: string[]): Error {
  return new Error(`The file of ACP agents cannot be used (${path}):\n  ${lines.join("\n  ")}`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
