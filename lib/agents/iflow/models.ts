import type { ModelSnapshot } from "../agent.ts";

/**
 * The models iflow names in its ACP mode. They are those of its own service, which has ended: with another endpoint the
 * names are the endpoint's.
 */
export const iflowModels: ModelSnapshot[] = [
  {
    version: "0.5.19",
    models: [
      ["glm-5", "GLM-5"],
      ["glm-4.7", "GLM-4.7"],
      ["iFlow-ROME-30BA3B", "iFlow-ROME-30BA3B"],
      ["deepseek-v3.2-chat", "DeepSeek-V3.2"],
      ["qwen3-coder-plus", "Qwen3-Coder-Plus"],
      ["kimi-k2.5", "Kimi-K2.5"],
      ["kimi-k2-thinking", "Kimi-K2-Thinking"],
      ["kimi-k2-0905", "Kimi-K2-0905"],
      ["minimax-m2.5", "MiniMax-M2.5"],
    ].map(([id = "", displayName = ""]) => ({
      id,
      display_name: displayName,
      deprecated: false,
      notes: null,
      supported_effort: [],
    })),
  },
];
