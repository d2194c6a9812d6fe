import type { ModelInfo, ModelSnapshot } from "../agent.ts";

/**
 * What qwen offers by version, from the providers inside its bundle: Alibaba's Coding Plan, which needs the plan's own
 * login. Any other name runs too: it is passed on to the endpoint.
 */
export const qwenModels: ModelSnapshot[] = [
  {
    version: "0.15.10",
    models: [
      model("qwen3.5-plus", "The CLI's own choice for an OpenAI-compatible endpoint."),
      model("qwen3.6-plus", "Available to Pro subscribers only."),
      model("qwen3-coder-plus", null),
      model("qwen3-coder-next", null),
      model("qwen3-max-2026-01-23", null),
      model("glm-5", null),
      model("glm-4.7", null),
      model("kimi-k2.5", null),
      model("MiniMax-M2.5", null),
    ],
  },
];

function model(id: string, notes: string | null): ModelInfo {
  return { id, display_name: id, deprecated: false, notes, supported_effort: [] };
}
