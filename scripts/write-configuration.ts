// npx tsx scripts/write-configuration.ts: writes the table of docs/configuration.md from runtime/config.ts.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { environment } from "../runtime/config.ts";
import { markdownTable, withPart } from "./markdown-table.ts";

export const configurationPage = join(import.meta.dirname, "../docs/configuration.md");

const marks = [
  "<!-- environment: made by scripts/write-configuration.ts, do not edit -->",
  "<!-- /environment -->",
] as const;
const MiB = 1024 * 1024;

/** What JSON Schema says of one variable, as far as the table shows it. */
const variable = z.object({
  description: z.string(),
  default: z.union([z.string(), z.number()]).optional(),
  enum: z.array(z.string()).optional(),
  type: z.string().optional(),
  minimum: z.number().optional(),
  exclusiveMinimum: z.number().optional(),
  maximum: z.number().optional(),
});
type Variable = z.infer<typeof variable>;

/** The page with its table made anew; the text around the table stays. */
export function withTable(page: string): string {
  return withPart(page, marks, environmentTable());
}

function environmentTable(): string {
  const { properties = {} } = z.toJSONSchema(environment, { io: "input" });
  const rows = Object.entries(properties).map(([name, schema]) => {
    const parsed = variable.parse(schema);
    return [`\`${name}\``, shownDefault(name, parsed), shownValues(parsed), parsed.description];
  });
  return markdownTable(["Variable", "Default", "Values", "Meaning"], rows);
}

function shownDefault(name: string, { default: value }: Variable): string {
  if (value === undefined) return "unset";
  const inMiB = name.endsWith("_BYTES") && typeof value === "number" ? ` (${value / MiB} MiB)` : "";
  return `\`${value}\`${inMiB}`;
}

function shownValues({ enum: values, type, minimum, exclusiveMinimum, maximum }: Variable): string {
  if (values !== undefined) return values.map((value) => `\`${value}\``).join(", ");
  if (type === "string" || type === undefined) return "text";
  const kind = type === "integer" ? "whole number" : "number";
  const least = exclusiveMinimum === undefined ? `${minimum} or more` : `above ${exclusiveMinimum}`;
  const isBounded = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  return isBounded ? `${kind}, ${least}, at most ${maximum}` : `${kind}, ${least}`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  writeFileSync(configurationPage, withTable(readFileSync(configurationPage, "utf8")));
}
