import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";

const settings = z.object({
  selectedAuthType: z.string().optional(),
  apiKey: z.string().optional(),
  baseUrl: z.string().optional(),
  modelName: z.string().optional(),
});
type Settings = z.infer<typeof settings>;

export interface Endpoint {
  baseUrl: string;
  apiKey: string;
  model: string;
}

/** The user's settings below those of the workspace; `IFLOW_*` variables stand above both. */
function readSettings(): Settings {
  const files = [homedir(), process.cwd()].map((folder) => join(folder, ".iflow/settings.json"));
  const fromEnvironment = {
    apiKey: process.env.IFLOW_API_KEY,
    baseUrl: process.env.IFLOW_BASE_URL,
    modelName: process.env.IFLOW_MODEL_NAME,
  };
  const given = Object.entries(fromEnvironment).filter(([, value]) => value !== undefined && value !== "");
  return Object.assign({}, ...files.map(readFile), Object.fromEntries(given));
}

/**
 * Where model calls go, or why nobody can sign in. Versions of 2026 take nothing but an OpenAI-compatible endpoint, as
 * the vendor's own service has ended.
 */
export function findEndpoint(model: string | undefined): Endpoint | { refusal: string } {
  const { selectedAuthType, apiKey, baseUrl, modelName } = readSettings();
  if (selectedAuthType === undefined && apiKey === undefined) {
    const path = join(homedir(), ".iflow/settings.json");
    return {
      refusal: `Please set an Auth method in your ${path} or specify environment variables before running`,
    };
  }
  if (selectedAuthType !== "openai-compatible") {
    return { refusal: "Auth method has been deprecated. Please reconfigure with OpenAI Compatible API." };
  }
  return { apiKey: apiKey ?? "", baseUrl: baseUrl ?? "", model: model ?? modelName ?? "glm-5" };
}

function readFile(path: string): Settings {
  try {
    const parsed = settings.safeParse(JSON.parse(readFileSync(path, "utf8")));
    return parsed.success ? parsed.data : {};
  } catch {
    return {};
  }
}
