import { type ArtifactField, artifactFields } from "./artifact-fields.ts";
import type { ExecutionMode, Skill } from "./skill.ts";

export interface SnapshotOptions {
  mode: ExecutionMode;
  /** Folder for final files, relative to the folder the agent works in. */
  artifactsDir: string;
}

/** What this server adds below a skill's own instructions: where to work, where to put files, how to answer. */
export function runtimeSections(skill: Skill, { mode, artifactsDir }: SnapshotOptions): string {
  return [
    "---",
    rules(artifactsDir),
    mode === "interactive" ? askingRules : noAskingRules,
    skill.schemas.output === undefined ? freeAnswer : jsonAnswer(skill.schemas.output, mode),
    artifactRules(artifactFields(skill.schemas.output), artifactsDir),
  ]
    .filter((section) => section !== "")
    .join("\n\n")
    .concat("\n");
}

const rules = (artifactsDir: string) => `## Rules of this run

The server that runs you added this and the following sections. Where the text above names other folders, these win.

- Work only in the current folder. Do not read or change anything outside it; input files named in the task may be read where they are.
- This skill's own files (scripts, references, assets) lie beside this SKILL.md.
- Write files that are part of the result below \`${artifactsDir}/\` in the current folder. Other files are drafts and are not kept.`;

const noAskingRules = `## Nobody is there to ask

Do not ask questions and do not wait for an answer. Where something is open, choose the most sensible reading and go on.`;

const askingRules = `## Asking the user

When you cannot go on without an answer, end your turn with one JSON object and nothing else:
\`{"__SKILL_DONE__": false, "message": "<your question>", "ui_hints": {"kind": "open_text"}}\`
\`kind\` is one of:

- \`open_text\`: any answer.
- \`choose_one\`: one of \`"options": [{"label": "...", "value": "..."}]\`.
- \`confirm\`: yes or no.
- \`upload_files\`: files, named by \`"files": [{"name": "<slot>", "required": true}]\`.

Ask one thing at a time, and only what you need. You will get the answer as the next message.`;

const freeAnswer = `## Final answer

Answer in plain text. Your final message is the result: it must stand on its own, without talk about how you got there.`;

const jsonAnswer = (schema: object, mode: ExecutionMode) => `## Final answer

Your final message must be exactly one JSON object that matches the schema below, and nothing else: no Markdown fences, no text before or after it.${
  mode === "interactive"
    ? ' Give it only when the task is done, and add `"__SKILL_DONE__": true` to it, whatever the schema says of other properties.'
    : ""
}

\`\`\`json
${JSON.stringify(schema, null, 2)}
\`\`\``;

function artifactRules(fields: readonly ArtifactField[], artifactsDir: string): string {
  if (fields.length === 0) return "";
  const lines = fields.map(({ name, kind, role }) => {
    const purpose = role === null ? "" : ` (${role})`;
    return kind === "artifact-manifest"
      ? `- \`${name}\`${purpose}: path of a JSON file, one flat object of label: path, that lists the files.`
      : `- \`${name}\`${purpose}: path of the file.`;
  });
  return `## Files in the answer

Write these files before you answer, and give their paths relative to the current folder, like \`${artifactsDir}/report.md\`:

${lines.join("\n")}`;
}
