import { isAbsolute } from "node:path";
import type { Agent } from "../agent.ts";
import { converse } from "./converse.ts";
import type { AcpDefinition } from "./definitions.ts";
import { explainAcpStderr } from "./failures.ts";
import { modelName } from "./session.ts";

export { type AcpDefinition, readAcpDefinitions } from "./definitions.ts";

/** An agent that speaks the Agent Client Protocol on stdio, made from its definition alone. */
export function createAcpAgent(definition: AcpDefinition): Agent {
  const { id, command, skills_folder, key_variables, model_arg } = definition;
  return {
    id,
    title: definition.title ?? `${id} (ACP)`,
    npmPackage: null,
    knownGoodVersion: null,
    unavailable: isAbsolute(command) ? `There is no executable at the path that its definition names.` : null,
    binary: command,
    skillsFolder: skills_folder,
    // Not every CLI knows of skills; every one can read a file.
    invokeLine: (skillId) =>
      `Use the skill "${skillId}": read ${skills_folder}/${skillId}/SKILL.md and do what it says.`,
    credentialFiles: definition.credential_files,
    credentialRule: "any",
    homes: [],
    settings: definition.settings,
    configVariable: null,
    bootstrapFiles: {},
    environment: [...definition.environment, ...key_variables],
    keyVariables: key_variables,
    helpArgs: null,
    sandboxProbes: [],
    capabilities: { resume: true, outputSchema: false, efforts: [] },
    estimate: { memoryMiB: definition.memory_mib, processes: 32, descriptors: 64 },
    models: [],
    modelProbe: null,
    skillConfigFile: `${id}_config.json`,
    command(turn) {
      const model = modelName(turn);
      const chosen = model === null || model_arg === undefined ? [] : [model_arg, model];
      return { args: [...definition.args, ...chosen], env: definition.env, files: {} };
    },
    read: () => ({ line: () => [] }),
    converse: (turn, conversation) =>
      converse(turn, conversation, {
        authMethod: definition.auth_method ?? null,
        modelByArgument: model_arg !== undefined,
      }),
    explainStderr: explainAcpStderr,
  };
}
