import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** How one agent CLI is pointed at a scripted model: environment of the server, and files of its home folder. */
export interface Endpoint {
  env: Record<string, string>;
  /** Path below HOME -> content. */
  homeFiles?: Record<string, object>;
  /** A model name the CLI takes, and a second one. */
  models: [string, string];
}

const key = "sk-scripted-model";

/** For every agent that is driven against `tests/model-server`. `url` has no path. */
export const endpoints: Record<string, (url: string) => Endpoint> = {
  codex: (url) => ({
    env: { OPENAI_API_KEY: key, OPENAI_BASE_URL: `${url}/v1` },
    models: ["gpt-5.5", "gpt-6-sol"],
  }),
  gemini: (url) => ({
    env: { GEMINI_API_KEY: key, GOOGLE_GEMINI_BASE_URL: url },
    // Names that gemini does not replace by newer ones.
    models: ["gemini-2.5-flash", "gemini-2.5-pro"],
  }),
  iflow: (url) => ({
    env: { IFLOW_API_KEY: key, IFLOW_BASE_URL: `${url}/v1` },
    models: ["qwen3-coder-plus", "glm-5"],
  }),
  claude: (url) => ({
    env: { ANTHROPIC_API_KEY: key, ANTHROPIC_BASE_URL: url },
    models: ["claude-sonnet-4-6", "claude-haiku-4-5"],
  }),
  opencode: (url) => ({
    env: { OPENAI_API_KEY: key },
    homeFiles: {
      ".config/opencode/opencode.json": {
        provider: {
          scripted: {
            npm: "@ai-sdk/openai-compatible",
            options: { baseURL: `${url}/v1`, apiKey: "{env:OPENAI_API_KEY}" },
            models: {
              alpha: { tool_call: true, reasoning: true },
              beta: { tool_call: true, reasoning: true },
            },
          },
        },
      },
    },
    models: ["scripted/alpha", "scripted/beta"],
  }),
  qwen: (url) => ({
    env: { OPENAI_API_KEY: key, OPENAI_BASE_URL: `${url}/v1` },
    models: ["qwen3-coder-plus", "glm-5"],
  }),
};

/** The endpoint of an agent, with its files written into a home folder. */
export async function prepareEndpoint(agentId: string, url: string, home: string): Promise<Endpoint> {
  const endpoint = endpoints[agentId]?.(url);
  if (endpoint === undefined) throw new Error(`tests/endpoints.ts has no endpoint for ${agentId}`);
  for (const [path, content] of Object.entries(endpoint.homeFiles ?? {})) {
    await mkdir(dirname(join(home, path)), { recursive: true });
    await writeFile(join(home, path), JSON.stringify(content, null, 2));
  }
  return endpoint;
}
