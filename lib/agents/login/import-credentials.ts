import { readFile } from "node:fs/promises";
import { type Issue, RunnerError } from "../../errors.ts";
import { isJsonObject, jsonPointer, parseJson } from "../../json.ts";
import type { Agent } from "../agent.ts";
import { credentialFiles, pathOf } from "../credentials.ts";
import { codeOf } from "../manager/config-folders.ts";
import { loginFiles } from "./methods.ts";
import { type Replacement, replaceTogether } from "./replace-together.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A credential file as it was received. */
export interface UploadedCredential {
  /** What the client calls it. */
  name: string;
  /** Absolute path of the temporary file that holds it. */
  path: string;
  bytes: number;
}

/** Logins have a few kilobytes. */
const maxBytes = 1024 * 1024;

/**
 * Puts uploaded credential files where the agent's CLI looks for them: all of them, or none (a crash
 * may come in between). A link is followed, so
 * that the file in a mounted folder is replaced. The temporary files are left to the caller.
 * @param environment the server's
 * @returns the names written
 * @throws RunnerError CREDENTIALS_INVALID with an issue for each file that cannot be used or is missing; never any content
 * @throws RunnerError STORAGE_FAILED when they cannot be written
 */
export async function importCredentials(
  agent: Agent,
  environment: Environment,
  files: readonly UploadedCredential[],
): Promise<string[]> {
  const checked = await Promise.all(files.map((file) => check(agent, file, files)));
  const issues = [
    ...checked.flatMap(({ issue }) => issue ?? []),
    ...(await missing(agent, environment, files)),
  ];
  if (issues.length > 0) {
    const message = `These files are no login of the ${agent.title}; nothing was written.`;
    throw new RunnerError("CREDENTIALS_INVALID", message, { issues });
  }
  const replacements = checked.flatMap(({ path, content }): Replacement[] =>
    path === undefined || content === undefined ? [] : [{ path: pathOf(agent, path, environment), content }],
  );
  try {
    await replaceTogether(replacements);
  } catch (error) {
    throw new RunnerError(
      "STORAGE_FAILED",
      `The credential files could not be written to the agent's folder (${codeOf(error)}). Nothing was changed; tell the operator.`,
      { cause: error },
    );
  }
  return files.map(({ name }) => name);
}

/** What is put in place of a file, or why it cannot be. */
interface Checked {
  /** Below HOME. */
  path?: string;
  content?: Buffer;
  issue?: Issue;
}

async function check(
  agent: Agent,
  file: UploadedCredential,
  files: readonly UploadedCredential[],
): Promise<Checked> {
  const refused = (message: string): Checked => ({ issue: { pointer: jsonPointer([file.name]), message } });
  const known = loginFiles(agent);
  const wanted = known.find(({ name }) => name === file.name);
  if (wanted === undefined)
    return refused(`is none of: ${known.map(({ name }) => name).join(", ") || "none"}`);
  if (files.filter(({ name }) => name === file.name).length > 1) return refused("came more than once");
  if (file.bytes > maxBytes) return refused(`is larger than ${maxBytes} bytes`);
  const content = await readFile(file.path);
  const text = content.toString("utf8");
  if (wanted.name.endsWith(".json") && !isJsonObject(parseJson(text))) return refused("is no JSON object");
  if (agent.credentialMarks?.[wanted.path]?.test(text) === false) return refused("holds no login");
  return { path: wanted.path, content };
}

/** Files of the login that neither came nor are there. */
async function missing(
  agent: Agent,
  environment: Environment,
  files: readonly UploadedCredential[],
): Promise<Issue[]> {
  if (files.length === 0) return [{ pointer: "", message: "no file came" }];
  if (agent.credentialRule === "any") return [];
  const there = await credentialFiles(agent, environment);
  return loginFiles(agent)
    .filter(({ name, path }) => there[path] !== true && !files.some((file) => file.name === name))
    .map(({ name }) => ({ pointer: jsonPointer([name]), message: "is missing: the login needs it too" }));
}
