import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { ToolCall } from "./model.ts";

export interface ToolResult {
  /** What the model is told. */
  output: string;
  /** What a person is shown. */
  display: string;
  /** The tool itself did not work: a command that ends with an error is a tool that worked. */
  failed: boolean;
}

/** What the model is offered: a shell, and the skills of the workspace and the home folder. */
export function offeredTools(): object[] {
  const list = [...findSkills()].map(([name, { description }]) => `- ${name}: ${description}`).join("\n");
  return [
    tool("run_shell_command", "Executes a shell command.", { command: "string", description: "string" }),
    tool("Skill", `Loads a skill by its name. Available skills:\n${list}`, { skill: "string" }),
  ];
}

export async function runTool(call: ToolCall, signal: AbortSignal): Promise<ToolResult> {
  const args = z
    .object({ command: z.string().optional(), skill: z.string().optional() })
    .catch({})
    .parse(parseJson(call.arguments));
  if (call.name === "run_shell_command" && args.command !== undefined) return shell(args.command, signal);
  const skill = call.name === "Skill" ? findSkills().get(args.skill ?? "") : undefined;
  const output = skill?.body ?? `Tool "${call.name}" not found in registry.`;
  return { output, display: output, failed: skill === undefined };
}

/** Runs a command in a process group of its own, as the CLI that iflow was forked from does. */
function shell(command: string, signal: AbortSignal): Promise<ToolResult> {
  const child = spawn("sh", ["-c", command], { detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const texts = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    texts.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    texts.stderr += text;
  });
  signal.addEventListener("abort", () => child.pid !== undefined && process.kill(-child.pid, "SIGKILL"));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, ended) => {
      const told = {
        Command: command,
        Directory: "(root)",
        Stdout: texts.stdout || "(empty)",
        Stderr: texts.stderr || "(empty)",
        Error: "(none)",
        "Exit Code": code ?? "(none)",
        Signal: ended ?? "(none)",
      };
      const output = Object.entries(told)
        .map(([name, value]) => `${name}: ${value}`)
        .join("\n");
      resolve({ output, display: texts.stdout + texts.stderr, failed: false });
    });
  });
}

/** Skills by name; those of the workspace come before those of the home folder. */
function findSkills(): Map<string, { description: string; body: string }> {
  const found = new Map<string, { description: string; body: string }>();
  for (const folder of [homedir(), process.cwd()].map((base) => join(base, ".iflow/skills"))) {
    for (const name of list(folder)) {
      try {
        const body = readFileSync(join(folder, name, "SKILL.md"), "utf8");
        found.set(name, { description: /^description: *(.*)$/m.exec(body)?.[1] ?? "", body });
      } catch {
        // Not a skill.
      }
    }
  }
  return found;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function tool(name: string, description: string, fields: Readonly<Record<string, string>>): object {
  const properties = Object.fromEntries(Object.entries(fields).map(([field, type]) => [field, { type }]));
  return { type: "function", function: { name, description, parameters: { type: "object", properties } } };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
