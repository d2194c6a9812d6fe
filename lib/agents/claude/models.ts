import type { ModelInfo, ModelSnapshot } from "../agent.ts";

const upToMax = ["low", "medium", "high", "max"];
const withXhigh = ["low", "medium", "high", "xhigh", "max"];

/** What claude knows by version, from the catalogue inside its binary. Other names run too: it passes any on. */
export const claudeModels: ModelSnapshot[] = [
  {
    version: "2.1.197",
    models: [
      model("fable", "Fable (alias)", withXhigh, "Now claude-fable-5."),
      model("opus", "Opus (alias)", withXhigh, "Now claude-opus-4-8."),
      model("sonnet", "Sonnet (alias)", withXhigh, "Now claude-sonnet-5."),
      model("haiku", "Haiku (alias)", [], "Now claude-haiku-4-5."),
      model(
        "claude-fable-5",
        "Fable 5",
        withXhigh,
        "Most capable, for the hardest and longest-running tasks.",
      ),
      model("claude-opus-4-8", "Opus 4.8", withXhigh, "Best for everyday, complex tasks."),
      model("claude-opus-4-7", "Opus 4.7", withXhigh, "Previous Opus version."),
      model("claude-opus-4-6", "Opus 4.6", upToMax, null),
      model("claude-opus-4-5", "Opus 4.5", [], null),
      model("claude-sonnet-5", "Sonnet 5", withXhigh, "Efficient for routine tasks."),
      model("claude-sonnet-4-6", "Sonnet 4.6", upToMax, "Previous Sonnet version."),
      model("claude-sonnet-4-5", "Sonnet 4.5", [], null),
      model("claude-haiku-4-5", "Haiku 4.5", [], "Fastest, for quick answers."),
      { ...model("claude-opus-4-1", "Opus 4.1", [], null), deprecated: true },
    ],
  },
];

function model(id: string, displayName: string, supportedEffort: string[], notes: string | null): ModelInfo {
  return { id, display_name: displayName, deprecated: false, notes, supported_effort: supportedEffort };
}
