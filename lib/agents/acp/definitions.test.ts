import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createAcpAgent, readAcpDefinitions } from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "acp-definitions-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function read(content: unknown, options = { taken: ["codex"], optional: false }) {
  const path = join(folder, "agents.json");
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return readAcpDefinitions(path, options);
}

test("a command is enough; the rest has defaults", async () => {
  const [definition] = await read({ agents: { "my-agent": { command: "my-cli" } } });
  expect(definition).toBeDefined();
  if (definition === undefined) return;
  expect(createAcpAgent(definition)).toMatchObject({
    id: "my-agent",
    title: "my-agent (ACP)",
    binary: "my-cli",
    skillsFolder: ".agents/skills",
    environment: [],
    keyVariables: [],
  });
});

test("what a definition says is what the agent gets", async () => {
  const [definition] = await read({
    agents: {
      x: {
        title: "X",
        command: "/opt/x/bin/x",
        args: ["--acp"],
        env: { X_QUIET: "1" },
        skills_folder: ".x/skills",
        environment: ["X_URL"],
        key_variables: ["X_KEY"],
        credential_files: [".x/auth.json"],
        memory_mib: 300,
      },
    },
  });
  if (definition === undefined) throw new Error("there is no definition");
  const agent = createAcpAgent(definition);
  expect(agent).toMatchObject({
    title: "X",
    binary: "/opt/x/bin/x",
    environment: ["X_URL", "X_KEY"],
    keyVariables: ["X_KEY"],
    credentialFiles: [".x/auth.json"],
    estimate: { memoryMiB: 300 },
  });
  expect(agent.invokeLine("s")).toContain(".x/skills/s/SKILL.md");
});

test("a file that need not be there, and is not, means none", async () => {
  const path = join(folder, "nowhere.json");
  expect(await readAcpDefinitions(path, { taken: [], optional: true })).toEqual([]);
  await expect(readAcpDefinitions(path, { taken: [], optional: false })).rejects.toThrow(
    /cannot be read.*nowhere/,
  );
});

test.each([
  ["no JSON", "{", /agents\.json\):\n {2}not valid JSON/],
  ["no object", [], /the whole file: /],
  ["no command", { agents: { x: {} } }, /\/agents\/x\/command: /],
  [
    "a relative command",
    { agents: { x: { command: "bin/x" } } },
    /\/agents\/x\/command: must be a name or an abs/,
  ],
  [
    "a field there is not",
    { agents: { x: { command: "x", arg: [] } } },
    /\/agents\/x\/arg: there is no such field/,
  ],
  ["arguments that are no texts", { agents: { x: { command: "x", args: [1] } } }, /\/agents\/x\/args\/0: /],
  [
    "a folder outside",
    { agents: { x: { command: "x", skills_folder: "../s" } } },
    /\/agents\/x\/skills_folder: /,
  ],
  ["no variable", { agents: { x: { command: "x", environment: ["A=B"] } } }, /\/agents\/x\/environment\/0: /],
  ["a bad id", { agents: { "X/y": { command: "x" } } }, /\/agents\/X~1y: the id must match/],
  ["a taken id", { agents: { codex: { command: "x" } } }, /\/agents\/codex: there is a built-in agent/],
])("refuses %s, and says where", async (_what, content, message) => {
  await expect(read(content)).rejects.toThrow(message);
});
