import { declaredProperties } from "./declared-properties.ts";
import type { JsonSchema } from "./skill.ts";

const kinds = ["artifact", "artifact-manifest", "file"] as const;
export type ArtifactKind = (typeof kinds)[number];

export interface ArtifactField {
  name: string;
  kind: ArtifactKind;
  role: string | null;
  required: boolean;
}

export function isArtifactKind(value: unknown): value is ArtifactKind {
  return kinds.some((kind) => kind === value);
}

/** The output properties that name files, read from their `x-type`. */
export function artifactFields(schema: JsonSchema | undefined): ArtifactField[] {
  const fields = new Map<string, ArtifactField>();
  for (const { name, schema: property, required } of declaredProperties(schema ?? {})) {
    const kind = property["x-type"];
    const role = property["x-role"];
    if (!isArtifactKind(kind) || fields.has(name)) continue;
    fields.set(name, { name, kind, role: typeof role === "string" ? role : null, required });
  }
  return [...fields.values()];
}
