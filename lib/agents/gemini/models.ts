import type { ModelInfo, ModelSnapshot } from "../agent.ts";
import { efforts } from "./config.ts";

/**
 * The models gemini lists by version, from the registry in its bundle (`modelConfigs.modelDefinitions`). Unlisted ones
 * run too: gemini passes any name on, and replaces some, such as gemini-3-pro-preview by gemini-3.1-pro-preview.
 */
export const geminiModels: ModelSnapshot[] = [
  {
    version: "0.61.0",
    models: [
      model("auto", "The CLI picks a model for each turn, which costs a call to a small one."),
      { ...model("gemini-3.1-pro-preview", "Preview."), supported_effort: ["low", "high"] },
      { ...model("gemini-3-pro-preview", "Preview."), supported_effort: ["low", "high"] },
      model("gemini-3-flash-preview", "Preview."),
      model("gemini-3.8-flash", null),
      model("gemini-3.5-flash", null),
      model("gemini-3.5-flash-lite", null),
      model("gemini-3.1-flash-lite", null),
      model("gemini-2.5-pro", null),
      model("gemini-2.5-flash", null),
      model("gemini-2.5-flash-lite", null),
      { ...model("gemma-4-31b-it", null), supported_effort: [] },
      { ...model("gemma-4-26b-a4b-it", null), supported_effort: [] },
    ],
  },
];

function model(id: string, notes: string | null): ModelInfo {
  return { id, display_name: id, deprecated: false, notes, supported_effort: efforts };
}
