/** A skill whose one input is the run's own words. */
export const skillFiles: Record<string, string | object> = {
  "SKILL.md": "---\nname: matrix\ndescription: Does what the text says.\n---\n\nDo what the text says.\n",
  "assets/runner.json": { id: "matrix", version: "1.0.0", execution_modes: ["auto", "interactive"] },
  "assets/input.schema.json": {
    type: "object",
    properties: { text: { type: "string", "x-input-source": "inline" } },
    required: ["text"],
  },
  "assets/output.schema.json": {
    type: "object",
    properties: {
      ok: { type: "boolean" },
      report: { type: "string", "x-type": "artifact", "x-role": "report" },
    },
    required: ["ok", "report"],
    additionalProperties: false,
  },
};
