import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { agents, createInstallationFinder, installAgent } from "../../lib/agents/index.ts";
import { startModelServer } from "../../tests/model-server/server.ts";
import { startBuiltServer } from "../../tests/server-process.ts";
import { answerQuestion, followJob, saveBundle, sendJob, sendTrip, showResult } from "./client.ts";
import { destination, script, source } from "./model-script.ts";

const root = join(import.meta.dirname, "../..");
// The same prefix that `npm start` uses, so that the CLI is fetched once; a home of its own, so that no login is touched.
const npmPrefix = join(root, "data/cache/npm");
const demoFolder = join(root, "data/demo");

const say = (line: string) => console.log(line);

async function main(): Promise<void> {
  const [codex] = agents.filter((agent) => agent.id === "codex");
  if (!codex) throw new Error("the codex adapter is missing");
  const home = join(demoFolder, "home");
  mkdirSync(join(home, ".codex"), { recursive: true });

  say("1. The agent: the real codex CLI, from npm");
  const found = await createInstallationFinder(npmPrefix, process.env).find(codex);
  if (found?.source !== "managed") {
    say(
      `   installing ${codex.npmPackage}@${codex.knownGoodVersion} into data/cache/npm (some 400 MB on disk) ...`,
    );
    await installAgent(codex, { npmPrefix, environment: process.env });
  }
  const installed = await createInstallationFinder(npmPrefix, process.env).find(codex);
  say(`   codex ${installed?.version ?? "?"} is installed`);

  say("2. The model: scripted. A server on 127.0.0.1 plays it, so no key and no internet are needed.");
  say("   Everything else is real: the CLI, its sandbox, its tool calls, the server, the checks.");
  const model = await startModelServer(script);
  const server = await startBuiltServer({
    HOME: home,
    SKILL_RUNNER_DATA_DIR: demoFolder,
    NPM_CONFIG_PREFIX: npmPrefix,
    OPENAI_API_KEY: "demo-key-of-the-scripted-model",
    OPENAI_BASE_URL: `${model.url}/v1`,
  });
  try {
    say(`3. The server: ${server.url}`);
    const id = await sendJob(server.url, source, say);
    const report = await followJob(server.url, id, say);
    await showResult(server.url, id, 5, say);
    const bundle = await saveBundle(server.url, id, join(demoFolder, "run_bundle.zip"));
    say(
      `6. The bundle: ${bundle.bytes} bytes, saved as data/demo/run_bundle.zip (GET /v1/jobs/${id}/bundle)`,
    );
    const trip = await sendTrip(server.url, destination, say);
    const asked = await followJob(server.url, trip, say);
    if (asked.status === "waiting_user") await answerQuestion(server.url, trip, "winter", say);
    const list = await followJob(server.url, trip, say, asked.next);
    await showResult(server.url, trip, 8, say);
    if (report.status !== "succeeded" || list.status !== "succeeded")
      throw new Error("a demo job did not succeed; its result above says why");
    say("\nIt works. Next: npm start, with a real key (OPENAI_API_KEY) or a login (codex login).");
  } finally {
    await server.stop();
    await model.close();
  }
}

try {
  await main();
} catch (error) {
  console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
