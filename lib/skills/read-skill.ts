import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readSkillText } from "./front-matter.ts";
import { brokenManifest, plainManifest, readManifest } from "./manifest.ts";
import { hashPackage, type PackageFile, type PackageListing } from "./package-files.ts";
import { defaultSchemaPath, plainSchemas, type SchemaReader } from "./schemas.ts";
import { type Findings, type Skill, schemaKeys } from "./skill.ts";
import { templateProblem } from "./template.ts";

const manifestPath = "assets/runner.json";
const textPath = "SKILL.md";
/** SKILL.md, runner.json and schemas are read by people and models; larger ones are mistakes. */
const maxTextBytes = 1024 * 1024;

export interface ReadSkillContext {
  /** Engines this server has. */
  engines: readonly string[];
  schemas: SchemaReader;
}

/** A folder name that can stand in a URL and in a path as it is. */
export function isSafeSkillId(id: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/.test(id);
}

/** Whether a folder is meant to be a skill: it holds one of the two files that make one. */
export function looksLikeSkill({ files }: PackageListing): boolean {
  return files.some(({ path }) => path === textPath || path === manifestPath);
}

/** Reads one listed folder. A broken package is a `Skill` with `errors`, not an exception. */
export async function readSkill(
  id: string,
  dir: string,
  listing: PackageListing,
  context: ReadSkillContext,
): Promise<Skill> {
  const findings: Findings = { errors: [...listing.issues], warnings: [] };
  if (!isSafeSkillId(id)) {
    const message = `the folder name "${id}" must be letters, digits, "-", "_" and "." only (at most 128)`;
    findings.errors.push({ pointer: "", message });
  }
  const folder = openFolder(dir, listing.files, findings);
  const kind = isPackage(folder.paths) ? "package" : "plain";
  const { frontMatter, instructions } = await readText(folder, id, kind, findings);
  const common: Pick<Skill, "id" | "dir" | "kind" | "frontMatter" | "instructions" | "files"> = {
    id,
    dir,
    kind,
    frontMatter,
    instructions,
    files: [...folder.paths],
  };
  const hash = listing.readable ? await hashOf(dir, listing.files, findings) : "";
  if (kind === "plain") {
    const manifest = plainManifest(id, context.engines, frontMatter.metadata?.version);
    return { ...common, manifest, schemas: { ...plainSchemas }, hash, ...findings };
  }
  const data = await folder.json(manifestPath);
  const manifest =
    data === undefined
      ? null
      : readManifest(data, { id, engines: context.engines, files: folder.paths }, findings);
  if (manifest === null) return { ...common, manifest: brokenManifest(id), schemas: {}, hash, ...findings };
  for (const [engine, template] of Object.entries(manifest.entrypoint.prompts)) {
    const problem = templateProblem(template);
    const pointer = `${manifestPath}#/entrypoint/prompts/${engine}`;
    if (problem !== null) findings.errors.push({ pointer, message: `is not a Jinja2 template: ${problem}` });
  }
  const schemas = await context.schemas.read(manifest, folder.paths, folder.json, findings);
  return { ...common, manifest, schemas, hash, ...findings };
}

interface Folder {
  paths: ReadonlySet<string>;
  /** Undefined, with an error noted, when there is no such file or it cannot be used. */
  text(path: string): Promise<string | undefined>;
  json(path: string): Promise<unknown>;
}

function openFolder(dir: string, files: readonly PackageFile[], { errors }: Findings): Folder {
  const sizes = new Map(files.map((file) => [file.path, file.size]));
  const text = async (path: string) => {
    const size = sizes.get(path);
    const problem = size === undefined ? "is missing" : size > maxTextBytes ? "is larger than 1 MiB" : null;
    if (problem === null) {
      const content = await readFile(join(dir, path), "utf8").catch(() => undefined);
      if (content !== undefined) return content;
    }
    errors.push({ pointer: path, message: problem ?? "cannot be read; check its permissions" });
    return undefined;
  };
  return {
    paths: new Set(sizes.keys()),
    text,
    async json(path) {
      const content = await text(path);
      if (content === undefined) return undefined;
      try {
        const value: unknown = JSON.parse(content.replace(/^\uFEFF/, ""));
        return value;
      } catch (error) {
        const reason = error instanceof Error ? error.message : "unknown reason";
        errors.push({ pointer: path, message: `is not valid JSON: ${reason}` });
        return undefined;
      }
    },
  };
}

/** Schemas in their usual place without a manifest are a package whose manifest is missing (or still being copied). */
function isPackage(paths: ReadonlySet<string>): boolean {
  return paths.has(manifestPath) || schemaKeys.some((key) => paths.has(defaultSchemaPath(key)));
}

async function readText(folder: Folder, id: string, kind: Skill["kind"], findings: Findings) {
  const text = await folder.text(textPath);
  return text === undefined
    ? { frontMatter: { name: "", description: "" }, instructions: "" }
    : readSkillText(text, id, kind, findings);
}

async function hashOf(dir: string, files: readonly PackageFile[], { errors }: Findings): Promise<string> {
  try {
    return await hashPackage(dir, files);
  } catch {
    // The folder is being written to, or a file may not be read: the next look at it will tell.
    errors.push({ pointer: "", message: "a file of the package cannot be read; check its permissions" });
    return "";
  }
}
