import { posix } from "node:path";
import type { Issue } from "../errors.ts";
import { isJsonObject, jsonPointer } from "../json.ts";
import { requiredNames } from "./declared-properties.ts";
import type { Skill } from "./skill.ts";

export interface FileInput {
  name: string;
  required: boolean;
  /** Lower case, with the dot; absent when any file will do. */
  extensions?: string[];
}

export interface InputSplit {
  /** Names of the inputs whose value is in the request itself. */
  inline: string[];
  /** Inputs that are uploaded files; the request may name the file. */
  file: FileInput[];
}

/** Sorts a skill's inputs by `x-input-source`; a property that says nothing is a file. */
export function splitInputs(skill: Pick<Skill, "schemas">): InputSplit {
  const schema = skill.schemas.input ?? {};
  const required = requiredNames(schema);
  const split: InputSplit = { inline: [], file: [] };
  for (const [name, property] of Object.entries(isJsonObject(schema.properties) ? schema.properties : {})) {
    const { "x-input-source": source, extensions } = isJsonObject(property) ? property : {};
    if (source === "inline") split.inline.push(name);
    else split.file.push({ name, required: required.has(name), ...allowedExtensions(extensions) });
  }
  return split;
}

/** What is wrong with the file inputs a request names, before any file has come. */
export function filePathIssues(
  files: readonly FileInput[],
  input: Readonly<Record<string, unknown>>,
): Issue[] {
  return files.flatMap((file) => {
    const value = Object.hasOwn(input, file.name) ? input[file.name] : undefined;
    if (value === undefined) return [];
    const problem = pathProblem(value) ?? extensionProblem(file, String(value));
    return problem === null ? [] : [{ pointer: jsonPointer([file.name]), message: problem }];
  });
}

/**
 * Finds the uploaded file of every file input. A request that names none gets the file called like the input, alone or
 * with an extension: what older clients upload.
 * @param uploadedFiles paths below the uploads folder
 * @returns `resolved`: input name -> path below the uploads folder
 */
export function validateUploadedInput(
  skill: Pick<Skill, "schemas">,
  input: Readonly<Record<string, unknown>>,
  uploadedFiles: readonly string[],
): { issues: Issue[]; resolved: Record<string, string> } {
  const resolved: Record<string, string> = {};
  if (skill.schemas.input === undefined) return { issues: [], resolved };
  const { file: inputs } = splitInputs(skill);
  const issues: Issue[] = [];
  for (const file of inputs) {
    const found = findUpload(file, input[file.name], uploadedFiles);
    if (found === null) continue;
    if ("path" in found) resolved[file.name] = found.path;
    else issues.push({ pointer: jsonPointer([file.name]), message: found.problem });
  }
  const taken = new Set(Object.values(resolved));
  // A wrong input is reported once: its file is not an extra one too.
  if (issues.length === 0) {
    const names = inputs.map(({ name }) => name).join(", ") || "none";
    const extra = uploadedFiles.filter((path) => !taken.has(path));
    issues.push(
      ...extra.map((path) => ({
        pointer: "",
        message: `"${path}" belongs to no input; file inputs: ${names}`,
      })),
    );
  }
  return { issues, resolved };
}

function findUpload(
  file: FileInput,
  named: unknown,
  uploaded: readonly string[],
): { path: string } | { problem: string } | null {
  if (named !== undefined) {
    const problem = pathProblem(named) ?? extensionProblem(file, String(named));
    if (problem !== null) return { problem };
    const path = posix.normalize(String(named));
    return uploaded.includes(path) ? { path } : { problem: `no file "${path}" was uploaded` };
  }
  const alike = uploaded.filter((path) => path === file.name || isNameWithExtension(path, file.name));
  const fitting = alike.filter((path) => path === file.name || extensionProblem(file, path) === null);
  const [first, second] = fitting.includes(file.name) ? [file.name] : fitting;
  if (first !== undefined && second === undefined) return { path: first };
  if (first !== undefined) return { problem: `may be any of ${fitting.join(", ")}; name one in the request` };
  if (alike[0] !== undefined) return { problem: extensionProblem(file, alike[0]) ?? "does not fit" };
  return file.required
    ? { problem: `is required: upload a file, named "${file.name}" or in the request` }
    : null;
}

function isNameWithExtension(path: string, name: string): boolean {
  return path.startsWith(`${name}.`) && !path.includes("/") && !path.slice(name.length + 1).includes(".");
}

function pathProblem(value: unknown): string | null {
  if (typeof value !== "string" || value === "") return "must be the path of a file in the upload";
  const unsafe =
    value.startsWith("/") ||
    /^[A-Za-z]:/.test(value) ||
    /[\\\0]/.test(value) ||
    value.endsWith("/") ||
    value.split("/").includes("..");
  return unsafe ? 'must be a relative path with "/" and without ".."' : null;
}

function extensionProblem({ extensions }: FileInput, path: string): string | null {
  if (extensions === undefined || extensions.some((extension) => path.toLowerCase().endsWith(extension))) {
    return null;
  }
  return `must be a file of type ${extensions.join(", ")}`;
}

function allowedExtensions(declared: unknown): { extensions?: string[] } {
  if (!Array.isArray(declared)) return {};
  const extensions = declared
    .filter((extension) => typeof extension === "string" && extension !== "")
    .map((extension: string) => `.${extension.toLowerCase().replace(/^\*?\./, "")}`);
  return extensions.length === 0 ? {} : { extensions };
}
