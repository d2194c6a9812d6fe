import { z } from "zod";
import { parseJson } from "../../json.ts";
import type { ModelInfo, ModelSnapshot } from "../agent.ts";

const upToHigh = ["low", "medium", "high"];
const upToXhigh = [...upToHigh, "xhigh"];
const upToMax = [...upToXhigh, "max"];
const fromNone = ["none", ...upToMax];

/**
 * Some of what `opencode models` lists by version, of the providers built in at opencode.ai. Other providers' models run
 * too, once opencode has a key or a login for them: `opencode models` says which.
 */
export const opencodeModels: ModelSnapshot[] = [
  {
    version: "1.18.33",
    models: [
      model("opencode/big-pickle", "Big Pickle", [], "Free, no login needed."),
      model(
        "opencode/longcat-2.5-preview-free",
        "LongCat 2.5 Preview Free",
        upToHigh,
        "Free, no login needed.",
      ),
      model("opencode/mimo-v2.6-flash-free", "MiMo-V2.6-Flash Free", [], "Free, no login needed."),
      model("opencode/nemotron-3-ultra-free", "Nemotron 3 Ultra Free", [], "Free, no login needed."),
      model("opencode/claude-opus-5-5", "Claude Opus 5.5", upToMax),
      model("opencode/claude-sonnet-5", "Claude Sonnet 5", upToMax),
      model("opencode/claude-haiku-4-5", "Claude Haiku 4.5", ["high", "max"]),
      model("opencode/gpt-6-sol", "GPT-6 Sol", fromNone),
      model("opencode/gpt-6-luna", "GPT-6 Luna", fromNone),
      model("opencode/gemini-3.8-flash", "Gemini 3.8 Flash", upToHigh),
      model("opencode/glm-5.3", "GLM-5.3", ["low", "high", "max"]),
      model("opencode/grok-4.6", "Grok 4.6", upToXhigh),
      model("opencode/kimi-k3", "Kimi K3", ["max"]),
      model("opencode/qwen3.8-max", "Qwen3.8 Max", []),
    ],
  },
];

const listed = z.object({
  providerID: z.string(),
  id: z.string(),
  name: z.string(),
  status: z.string().catch(""),
  variants: z.record(z.string(), z.unknown()).catch({}),
});

/**
 * Reads what `opencode models --verbose` prints: of each model a line `provider/model`, then its facts as an indented
 * JSON object.
 */
export function readOpencodeModels(stdout: string): ModelInfo[] {
  return [...stdout.matchAll(/^\{\n.*?^\}$/gms)].flatMap(([text]) => {
    const parsed = listed.safeParse(parseJson(text));
    if (!parsed.success) return [];
    const { providerID, id, name, status, variants } = parsed.data;
    return [
      { ...model(`${providerID}/${id}`, name, Object.keys(variants)), deprecated: status === "deprecated" },
    ];
  });
}

function model(
  id: string,
  displayName: string,
  supportedEffort: string[],
  notes: string | null = null,
): ModelInfo {
  return { id, display_name: displayName, deprecated: false, notes, supported_effort: supportedEffort };
}
