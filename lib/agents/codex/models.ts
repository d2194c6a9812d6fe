import type { ModelInfo, ModelSnapshot } from "../agent.ts";

const upToXhigh = ["low", "medium", "high", "xhigh"];
const upToMax = [...upToXhigh, "max"];
const upToUltra = [...upToMax, "ultra"];

/** What codex lists by version, from the catalogue inside its binary. Unlisted models run too: codex passes any name on. */
export const codexModels: ModelSnapshot[] = [
  {
    version: "0.169.0",
    models: [
      model("gpt-6.1-sol", "GPT-6.1-Sol", upToUltra, "Latest workhorse model for coding and everyday work."),
      model("gpt-6-astra", "GPT-6-Astra", upToUltra, "Frontier intelligence for the most demanding work."),
      model("gpt-6.1-terra", "GPT-6.1 Terra", upToUltra, null),
      model("gpt-6-sol", "GPT-6-Sol", upToUltra, "Previous generation workhorse model."),
      model("gpt-6-luna", "GPT-6-Luna", upToMax, "Fast and affordable model for easier tasks."),
      model("gpt-5.6-sol", "GPT-5.6-Sol", upToUltra, "Older generation workhorse model."),
      model("gpt-5.6-terra", "GPT-5.6-Terra", upToUltra, "Older balanced model for straightforward work."),
      model("gpt-5.6-luna", "GPT-5.6-Luna", upToMax, "Older fast and efficient model."),
      { ...model("gpt-5.5", "GPT-5.5", upToXhigh, "Legacy coding model."), deprecated: true },
    ],
  },
];

function model(id: string, displayName: string, supportedEffort: string[], notes: string | null): ModelInfo {
  return { id, display_name: displayName, deprecated: false, notes, supported_effort: supportedEffort };
}
