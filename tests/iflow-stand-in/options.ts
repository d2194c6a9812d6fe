import { parseArgs } from "node:util";

/** The options of iflow 0.5.19 that anybody uses without a terminal, and what its help says of them. */
const known = {
  prompt: { type: "string", short: "p", help: "Prompt. Without it the prompt is read from stdin." },
  resume: { type: "string", short: "r", help: "Resume a session by its id." },
  model: { type: "string", short: "m", help: "Model." },
  yolo: { type: "boolean", short: "y", help: "Accept all actions." },
  default: { type: "boolean", help: "Ask before each action." },
  plan: { type: "boolean", help: "Read only." },
  thinking: { type: "boolean", help: "Thinking mode." },
  "output-file": { type: "string", short: "o", help: "Write the execution info to this file." },
  "max-turns": { type: "string", help: "Model calls a prompt may cost." },
  "experimental-acp": { type: "boolean", help: "Start the agent in ACP mode." },
  version: { type: "boolean", short: "v", help: "Show version number." },
  help: { type: "boolean", short: "h", help: "Show help." },
} as const;

/** @throws TypeError for an option it does not know, which ends iflow with exit code 1. */
export function parseOptions(args: string[]) {
  return parseArgs({ args, options: known, allowPositionals: true }).values;
}

export function help(): string {
  const lines = Object.entries(known).map(([name, option]) => {
    const short = "short" in option ? `-${option.short}, ` : "    ";
    return `  ${short}--${name}  ${option.help}  [${option.type}]`;
  });
  return `Usage: iflow [options] [prompt]\n\nOptions:\n${lines.join("\n")}\n`;
}
