import type { z } from "zod";
import type { Issue } from "../errors.ts";
import { jsonPointer } from "../json.ts";
import { keepKnownOptions } from "./default-options.ts";
import { manifestShape } from "./manifest-shape.ts";
import type { Findings, SkillManifest } from "./skill.ts";

/** Engines that packages in the wild name. One that this server has no agent for must not break a package. */
const enginesInTheWild: readonly string[] = [
  "codex",
  "claude",
  "opencode",
  "qwen",
  "kilo",
  "codebuddy",
  "gemini",
  "iflow",
];

const file = "assets/runner.json";
const at = (...path: PropertyKey[]) => `${file}#${jsonPointer(path)}`;

export interface ManifestContext {
  /** Name of the package's folder. */
  id: string;
  /** Engines this server has. */
  engines: readonly string[];
  /** Files of the package, to tell whether what the manifest points to is there. */
  files: ReadonlySet<string>;
}

/** Checks a parsed `assets/runner.json`, fills in defaults and computes `effective_engines`; null when it is broken. */
export function readManifest(
  data: unknown,
  context: ManifestContext,
  findings: Findings,
): SkillManifest | null {
  const parsed = manifestShape.safeParse(data);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      findings.errors.push({ pointer: at(...issue.path), message: issue.message });
    }
    return null;
  }
  const { unsupport_engine: _, ...declared } = parsed.data;
  const { id, engines, files } = context;
  if (declared.id !== id) {
    const message = `is "${declared.id}" but the folder is "${id}"; they must be equal`;
    findings.errors.push({ pointer: at("id"), message });
  }
  if (!/^\d+(\.\d+)*$/.test(declared.version)) {
    findings.warnings.push({ pointer: at("version"), message: 'should be a dotted number like "1.2.0"' });
  }
  return {
    ...declared,
    name: declared.name ?? null,
    description: declared.description ?? null,
    max_attempt: declared.max_attempt ?? null,
    engines: declared.engines ?? [...engines],
    effective_engines: effectiveEngines(declared, engines, findings),
    engine_configs: presentConfigs(declared.engine_configs, engines, files, findings),
    entrypoint: {
      prompts: declared.entrypoint.prompts,
      result_json_filename: declared.entrypoint.result_json_filename ?? `${id}.result.json`,
    },
    runtime: declared.runtime
      ? {
          ...declared.runtime,
          default_options: keepKnownOptions(declared.runtime.default_options, findings.warnings),
        }
      : null,
  };
}

/** The manifest of a folder that brings none: a plain Agent Skill runs on every engine, in auto mode. */
export function plainManifest(id: string, engines: readonly string[], version = "0.0.0"): SkillManifest {
  return {
    id,
    version,
    name: null,
    description: null,
    execution_modes: ["auto"],
    engines: [...engines],
    unsupported_engines: [],
    effective_engines: [...engines],
    max_attempt: null,
    schemas: {},
    engine_configs: {},
    entrypoint: { prompts: {}, result_json_filename: `${id}.result.json` },
    artifacts: [],
    runtime: null,
    mcp: { required_servers: [] },
  };
}

/** What stands in for a manifest that cannot be read: nothing can be run with it. */
export function brokenManifest(id: string): SkillManifest {
  return { ...plainManifest(id, []), execution_modes: [] };
}

function effectiveEngines(
  declared: Pick<z.output<typeof manifestShape>, "engines" | "unsupported_engines">,
  known: readonly string[],
  { errors, warnings }: Findings,
): string[] {
  const denied = new Set(declared.unsupported_engines);
  const lists = { engines: declared.engines ?? [], unsupported_engines: declared.unsupported_engines };
  for (const [key, list] of Object.entries(lists)) {
    for (const [index, engine] of list.entries()) {
      if (!known.includes(engine)) {
        const bucket = enginesInTheWild.includes(engine) ? warnings : errors;
        bucket.push({ pointer: at(key, index), message: unknownEngine(engine, known) });
      }
      if (key === "engines" && denied.has(engine)) {
        const message = `"${engine}" is in unsupported_engines too; keep it in one of the lists`;
        errors.push({ pointer: at(key, index), message });
      }
    }
  }
  const effective = (declared.engines ?? known).filter((id) => known.includes(id) && !denied.has(id));
  if (effective.length === 0) {
    const message = `leaves no engine this server has (${known.join(", ") || "none"})`;
    errors.push({ pointer: at(declared.engines === undefined ? "unsupported_engines" : "engines"), message });
  }
  return effective;
}

function unknownEngine(engine: string, known: readonly string[]): string {
  return enginesInTheWild.includes(engine)
    ? `this server has no agent for "${engine}"; it is left out`
    : `"${engine}" is no known engine; known: ${known.join(", ")}`;
}

function presentConfigs(
  declared: Readonly<Record<string, string>>,
  known: readonly string[],
  files: ReadonlySet<string>,
  { errors, warnings }: Findings,
): Record<string, string> {
  const present: Record<string, string> = {};
  for (const [engine, path] of Object.entries(declared)) {
    const issue = (message: string): Issue => ({ pointer: at("engine_configs", engine), message });
    if (!known.includes(engine) && !enginesInTheWild.includes(engine)) {
      errors.push(issue(unknownEngine(engine, known)));
    } else if (files.has(path)) present[engine] = path;
    else warnings.push(issue(`is ignored: the package has no file "${path}"`));
  }
  return present;
}
