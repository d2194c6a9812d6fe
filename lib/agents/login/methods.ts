import { basename } from "node:path";
import type { Agent } from "../agent.ts";
import type { Installation } from "../installation.ts";

type Environment = Readonly<Record<string, string | undefined>>;
export type LoginMethodName = "device_code" | "import_files" | "api_key" | "terminal";

/** A credential file a person can hand over. */
export interface LoginFile {
  /** What the upload must be called. */
  name: string;
  /** Where the CLI keeps it, below HOME. */
  path: string;
  required: boolean;
}

/** One thing a person can do to log an agent in. */
export interface LoginMethod {
  method: LoginMethodName;
  challenge_kind: LoginMethodName;
  title: string;
  /** Plain text that says exactly what to do. */
  instructions: string;
  files?: LoginFile[];
  /** Variables the key may go into; which one, says `keyVariable`. */
  variables?: string[];
  /** What to type in a terminal. */
  command?: string;
}

/**
 * What a person can do to log this agent in, best first. Never empty: a terminal is left for an agent of which nothing
 * is known.
 * @param environment the server's
 * @param installation null when the CLI is not installed; then it can start no login itself
 */
export function loginMethods(
  agent: Agent,
  environment: Environment,
  installation: Installation | null,
): LoginMethod[] {
  const methods: LoginMethod[] = [];
  if (installation !== null && agent.login?.deviceCode !== undefined) methods.push(deviceCode(agent));
  if (agent.credentialFiles.length > 0) methods.push(importFiles(agent));
  if (agent.keyVariables.length > 0) methods.push(apiKey(agent));
  methods.push(terminal(agent, environment, installation));
  return methods;
}

/** The credential files of an agent as uploads. */
export function loginFiles(agent: Agent): LoginFile[] {
  const required = agent.credentialRule === "all" || agent.credentialFiles.length === 1;
  return agent.credentialFiles.map((path) => ({ name: basename(path), path, required }));
}

function deviceCode(agent: Agent): LoginMethod {
  const steps = "Open the page that is shown, on any device, sign in there, and enter the one-time code.";
  return method("device_code", {
    title: "Log in with a one-time code",
    instructions: sentences(steps, agent.login?.deviceCode?.note, "The server notices when you are done."),
  });
}

function importFiles(agent: Agent): LoginMethod {
  const files = loginFiles(agent);
  const names = files.map(({ path }) => `~/${path}`);
  const which = agent.credentialRule === "all" ? names.join(" and ") : names.join(" or ");
  const login = agent.login === undefined ? "" : ` (${commandLine(agent)})`;
  return method("import_files", {
    title: "Upload the files of a login",
    instructions: sentences(
      `Log in with the ${agent.title} on a machine where you can${login}.`,
      `Then upload ${which} from there, under the same name. The server puts it where the CLI looks for it.`,
    ),
    files,
  });
}

function apiKey(agent: Agent): LoginMethod {
  const [first = ""] = agent.keyVariables;
  return method("api_key", {
    title: "Give an API key",
    instructions:
      "Send an API key; it is used for this run alone. " +
      `For all runs, set ${first} in the server's environment and start the server again.`,
    variables: [...agent.keyVariables],
  });
}

function terminal(agent: Agent, environment: Environment, installation: Installation | null): LoginMethod {
  if (agent.login === undefined) {
    return method("terminal", {
      title: "Log in with the CLI itself",
      instructions: sentences(
        `In a terminal of the server's machine, as the user the server runs as, log in with ${basename(agent.binary)} as its own documentation says.`,
        agent.credentialFiles.length === 0 ? "The server cannot see when that is done." : undefined,
      ),
    });
  }
  const command = inContainer(environment)
    ? `docker compose exec -it skill-runner ${commandLine(agent)}`
    : commandLine(agent);
  const where = inContainer(environment)
    ? "On the machine that runs the container, in the folder of its compose file"
    : "In a terminal of the server's machine, as the user the server runs as and with the same HOME";
  return method("terminal", {
    title: "Log in in a terminal",
    instructions: sentences(
      installation === null ? `Install the ${agent.title} first.` : undefined,
      `${where}, type: ${command}.`,
      agent.login.terminal.steps,
      installation?.source === "managed" && !inContainer(environment)
        ? `The executable ${agent.binary} is in the folder bin of the server's npm prefix.`
        : undefined,
      agent.configVariable !== null && environment[agent.configVariable] !== undefined
        ? `${agent.configVariable} must be set as it is for the server.`
        : undefined,
    ),
    command,
  });
}

function method(name: LoginMethodName, rest: Omit<LoginMethod, "method" | "challenge_kind">): LoginMethod {
  return { method: name, challenge_kind: name, ...rest };
}

function commandLine(agent: Agent): string {
  return [agent.binary, ...(agent.login?.terminal.args ?? [])].join(" ");
}

/** The image is known by where it keeps the agents' settings; no other place is mounted there. */
function inContainer(environment: Environment): boolean {
  return environment.SKILL_RUNNER_AGENT_CONFIG_DIR === "/opt/config";
}

function sentences(...parts: (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined).join(" ");
}
