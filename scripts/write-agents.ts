// npx tsx scripts/write-agents.ts: writes the tables of docs/agents.md, one from the adapters, one from what
// `npm run test:real` saw last. With --check it changes nothing and fails when the page says something else.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Agent, agents } from "../lib/agents/index.ts";
import { type MatrixResults, readResults } from "../tests/real/matrix-results.ts";
import { markdownTable, withPart } from "./markdown-table.ts";

export const agentsPage = join(import.meta.dirname, "../docs/agents.md");

const factMarks = [
  "<!-- agents: made by scripts/write-agents.ts, do not edit -->",
  "<!-- /agents -->",
] as const;
const matrixMarks = [
  "<!-- matrix: made by scripts/write-agents.ts, do not edit -->",
  "<!-- /matrix -->",
] as const;

/** The page with the table of the adapters' facts made anew. */
export function withFacts(page: string): string {
  return withPart(page, factMarks, factsTable(agents));
}

function withMatrix(page: string, results: MatrixResults): string {
  return withPart(page, matrixMarks, matrixTable(results));
}

function factsTable(agents: readonly Agent[]): string {
  const rows: [string, (agent: Agent) => string][] = [
    ["npm package", (agent) => code(agent.npmPackage)],
    ["known good version", (agent) => agent.knownGoodVersion ?? "none"],
    ["skills in the workspace", (agent) => code(agent.skillsFolder)],
    ["first line of the prompt", (agent) => code(agent.invokeLine("<skill>"))],
    ["settings and logins", (agent) => agent.homes.map(({ home }) => code(`~/${home}`)).join(", ")],
    [
      "in the container",
      (agent) => agent.homes.map(({ config }) => code(`/opt/config/${config}`)).join(", "),
    ],
    [
      "login files",
      (agent) => {
        const files = agent.credentialFiles.map((file) => code(`~/${file}`));
        return files.join(agent.credentialRule === "any" ? " or " : ", ") || "none";
      },
    ],
    ["keys", (agent) => agent.keyVariables.map(code).join(", ") || "none"],
    ["a skill's own settings", (agent) => code(`assets/${agent.skillConfigFile}`)],
    ["native output schema", (agent) => (agent.capabilities.outputSchema ? "yes" : "no")],
    ["efforts", (agent) => agent.capabilities.efforts.join(", ") || "none"],
    ["sandbox of its own", (agent) => (agent.sandboxProbes.length > 0 ? "yes" : "no")],
    [
      "a run needs about",
      (agent) => `${agent.estimate.memoryMiB} MiB, ${agent.estimate.processes} processes and threads`,
    ],
  ];
  return markdownTable(
    ["", ...agents.map(({ id }) => id)],
    rows.map(([name, of]) => [name, ...agents.map(of)]),
  );
}

function matrixTable(results: MatrixResults): string {
  const engines = Object.entries(results);
  const cases = [...new Set(engines.flatMap(([, { cases }]) => Object.keys(cases)))];
  return markdownTable(
    ["", ...engines.map(([id, { version }]) => `${id} ${version}`)],
    cases.map((name) => [name, ...engines.map(([, { cases }]) => cases[name] ?? "not run")]),
  );
}

function code(text: string | null): string {
  return text === null ? "none" : `\`${text}\``;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const page = readFileSync(agentsPage, "utf8");
  const made = withMatrix(withFacts(page), await readResults());
  if (!process.argv.includes("--check")) writeFileSync(agentsPage, made);
  else if (page !== made) {
    console.error("docs/agents.md is not what the tests saw. Run: npx tsx scripts/write-agents.ts");
    process.exit(1);
  }
}
