import { parse } from "yaml";
import { z } from "zod";
import { isJsonObject } from "../json.ts";
import type { Findings, FrontMatter, Skill } from "./skill.ts";

const specName = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const maxName = 64;

const optionalFields = {
  license: z.string(),
  compatibility: z.string().min(1).max(500),
  // YAML reads `version: 1.0` as a number; people mean the text.
  metadata: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String)),
  allowed_tools: z.union([z.string(), z.array(z.string()).transform((names) => names.join(" "))]),
};

export interface SkillText {
  frontMatter: FrontMatter;
  instructions: string;
}

/** Cuts a SKILL.md into the YAML between its `---` fences and the text below; null when it does not start with a fence. */
function splitFrontMatter(text: string): { yaml: string; body: string } | null {
  const match = /^\uFEFF?---[ \t]*\r?\n(?:([\s\S]*?)\r?\n)?---[ \t]*(?:\r?\n|$)/.exec(text);
  return match === null ? null : { yaml: match[1] ?? "", body: text.slice(match[0].length) };
}

/**
 * Reads SKILL.md by the Agent Skills specification and notes what is wrong with it. Packages may have names outside
 * the specification's alphabet (older ones use underscores), so for them that is only a warning.
 */
export function readSkillText(text: string, id: string, kind: Skill["kind"], findings: Findings): SkillText {
  const parts = splitFrontMatter(text);
  if (parts === null) {
    const message =
      "must start with YAML front matter: a line `---`, then name and description, then a line `---`";
    findings.errors.push({ pointer: "SKILL.md", message });
    return { frontMatter: { name: "", description: "" }, instructions: text };
  }
  const data = parseYaml(parts.yaml, findings);
  if (data === null) return { frontMatter: { name: "", description: "" }, instructions: parts.body };
  const frontMatter: FrontMatter = {
    name: readName(data.name, id, kind, findings),
    description: readDescription(data.description, findings),
    ...readOptional(data, findings),
  };
  return { frontMatter, instructions: parts.body };
}

function parseYaml(yaml: string, findings: Findings): Record<string, unknown> | null {
  try {
    const data: unknown = parse(yaml, { schema: "core", logLevel: "error" });
    if (isJsonObject(data)) return data;
    findings.errors.push({
      pointer: "SKILL.md",
      message: "front matter must be a YAML mapping (key: value)",
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : "unknown reason";
    findings.errors.push({ pointer: "SKILL.md", message: `front matter is not valid YAML: ${reason}` });
  }
  return null;
}

function readName(name: unknown, id: string, kind: Skill["kind"], { errors, warnings }: Findings): string {
  const pointer = "SKILL.md#/name";
  if (typeof name !== "string" || name === "") {
    errors.push({ pointer, message: "is required and must be a string" });
    return "";
  }
  if (name !== id)
    errors.push({ pointer, message: `is "${name}" but the folder is "${id}"; they must be equal` });
  if (name.length > maxName) errors.push({ pointer, message: `must have at most ${maxName} characters` });
  if (!specName.test(name)) {
    const message =
      "should be lower-case letters, digits and single hyphens inside (Agent Skills specification)";
    (kind === "plain" ? errors : warnings).push({ pointer, message });
  }
  return name;
}

function readDescription(description: unknown, { errors }: Findings): string {
  const pointer = "SKILL.md#/description";
  if (typeof description !== "string" || description.trim() === "") {
    errors.push({ pointer, message: "is required: say what the skill does and when to use it" });
    return "";
  }
  if (description.length > 1024) errors.push({ pointer, message: "must have at most 1024 characters" });
  return description;
}

function readOptional(data: Record<string, unknown>, findings: Findings): Partial<FrontMatter> {
  const found: Partial<FrontMatter> = {};
  const take = <T>(key: string, schema: z.ZodType<T>, keep: (value: T) => void) => {
    if (data[key] === undefined || data[key] === null) return;
    const parsed = schema.safeParse(data[key]);
    if (parsed.success) keep(parsed.data);
    else {
      const reason = parsed.error.issues[0]?.message ?? "has the wrong type";
      findings.warnings.push({ pointer: `SKILL.md#/${key}`, message: `is ignored: ${reason}` });
    }
  };
  take("license", optionalFields.license, (value) => {
    found.license = value;
  });
  take("compatibility", optionalFields.compatibility, (value) => {
    found.compatibility = value;
  });
  take("metadata", optionalFields.metadata, (value) => {
    found.metadata = value;
  });
  take("allowed-tools", optionalFields.allowed_tools, (value) => {
    found.allowed_tools = value;
  });
  return found;
}
