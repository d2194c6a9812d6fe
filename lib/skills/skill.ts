import type { Issue } from "../errors.ts";

export type ExecutionMode = "auto" | "interactive";

/** The three schemas a package may bring; each is a JSON Schema 2020-12 whose top level is an object. */
export const schemaKeys = ["input", "parameter", "output"] as const;
export type SchemaKey = (typeof schemaKeys)[number];

export type JsonSchema = Record<string, unknown>;

export interface SkillSchemas {
  input?: JsonSchema;
  parameter?: JsonSchema;
  output?: JsonSchema;
}

interface ArtifactDeclaration {
  role: string;
  pattern: string;
  mime?: string | undefined;
  required: boolean;
}

interface SkillRuntime {
  language: string;
  version: string;
  dependencies: string[];
  /** Only known runtime options with good values; the rest was dropped with a warning. */
  default_options: Record<string, unknown>;
}

/** `assets/runner.json` with its defaults filled in and `effective_engines` computed. */
export interface SkillManifest {
  id: string;
  version: string;
  name: string | null;
  description: string | null;
  execution_modes: ExecutionMode[];
  /** Allow list as declared; every engine of the server when the package declares none. */
  engines: string[];
  unsupported_engines: string[];
  /** What the skill can run on here: allowed, not denied, and known to this server. */
  effective_engines: string[];
  /** Interactive only: most turns a run may take. */
  max_attempt: number | null;
  schemas: { [key in SchemaKey]?: string | undefined };
  /** Engine id -> path of the skill's own config for it, relative to the package. */
  engine_configs: Record<string, string>;
  entrypoint: { prompts: Record<string, string>; result_json_filename: string };
  /** Compatibility metadata; the truth is `x-type` in the output schema. */
  artifacts: ArtifactDeclaration[];
  runtime: SkillRuntime | null;
  mcp: { required_servers: string[] };
}

/** The YAML head of SKILL.md, by the Agent Skills specification. */
export interface FrontMatter {
  name: string;
  description: string;
  license?: string;
  compatibility?: string;
  metadata?: Record<string, string>;
  allowed_tools?: string;
}

/** One skill folder as it was when it was read. Never changed after: a changed folder is a new `Skill`. */
export interface Skill {
  /** Name of the folder. */
  id: string;
  /** Absolute path of the folder. */
  dir: string;
  /** `package` has `assets/runner.json`; `plain` is an Agent Skill with nothing but SKILL.md and its own files. */
  kind: "package" | "plain";
  manifest: SkillManifest;
  frontMatter: FrontMatter;
  /** SKILL.md below the front matter. */
  instructions: string;
  schemas: SkillSchemas;
  /** sha256 over every file's path, size and content; "" when the package is too large to be read. */
  hash: string;
  /** Why the skill cannot run. Pointers name the file: `SKILL.md#/name`, `assets/runner.json#/engines/0`. */
  errors: Issue[];
  warnings: Issue[];
  /** Every file, relative, with `/`, sorted. */
  files: string[];
}

/** Issues found while reading; what makes the skill unusable is kept apart from what is merely worth knowing. */
export interface Findings {
  errors: Issue[];
  warnings: Issue[];
}
