import { delimiter, dirname, join } from "node:path";
import type { Agent } from "./agent.ts";

/** What any program on this machine needs to behave: locale, proxies, certificates, package caches. */
export const everyAgentSees: readonly string[] = [
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "LANG",
  "LANGUAGE",
  "TZ",
  "TERM",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "ALL_PROXY",
  "http_proxy",
  "https_proxy",
  "no_proxy",
  "all_proxy",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "NODE_EXTRA_CA_CERTS",
  "REQUESTS_CA_BUNDLE",
  "UV_CACHE_DIR",
  "UV_PROJECT_ENVIRONMENT",
  "XDG_CONFIG_HOME",
  "XDG_DATA_HOME",
  "XDG_STATE_HOME",
  "XDG_CACHE_HOME",
];

/** The variable that marks every process of a run, so that a sweep of /proc finds those that left the process group. */
export const trackingVariable = "SKILL_RUNNER_RUN_ID";

export interface AgentEnvironmentOptions {
  /** The server's own environment. Only what an allow list names leaves it. */
  server: Readonly<Record<string, string | undefined>>;
  /** npm prefix that holds the agent CLIs; its `bin` comes first in PATH. */
  npmPrefix: string;
  /** The run's id and its own temporary folder. */
  runId: string;
  temporaryFolder: string;
  /** `runtime_options.env` of the run, then what the adapter asks for: later wins. */
  extra: Readonly<Record<string, string>>;
}

/** The environment of an agent's process: an allow list, never the whole of the server's (it holds other keys). */
export function agentEnvironment(agent: Agent, options: AgentEnvironmentOptions): Record<string, string> {
  const environment = allowedEnvironment(agent, options);
  environment.TMPDIR = options.temporaryFolder;
  // git looks for a repository upwards: one the data directory happens to lie in is not the agent's to touch.
  environment.GIT_CEILING_DIRECTORIES = dirname(options.temporaryFolder);
  return { ...environment, ...options.extra, [trackingVariable]: options.runId };
}

/** What of the server's environment an agent's CLI may see, whatever it is started for. */
export function allowedEnvironment(
  agent: Agent,
  { server, npmPrefix }: Pick<AgentEnvironmentOptions, "server" | "npmPrefix">,
): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(server)) {
    // An empty line of an .env file sets nothing: some CLIs take an empty endpoint for one.
    if (value === undefined || value === "") continue;
    if (everyAgentSees.includes(name) || name.startsWith("LC_") || agent.environment.includes(name)) {
      environment[name] = value;
    }
  }
  environment.LANG ??= "C.UTF-8";
  environment.PATH = [join(npmPrefix, "bin"), server.PATH ?? "/usr/local/bin:/usr/bin:/bin"].join(delimiter);
  environment.NPM_CONFIG_PREFIX = npmPrefix;
  return environment;
}
