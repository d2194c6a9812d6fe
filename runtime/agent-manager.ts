import { homedir } from "node:os";
import { resolve } from "node:path";
import {
  type Agent,
  bootstrapConfig,
  type EngineManager,
  type EngineStatus,
  type InstallOutcome,
} from "../lib/agents/index.ts";
import { createRecordStore, memoryDriver } from "../lib/storage/index.ts";
import { readConfig } from "./config.ts";
import { createEngineParts, loadAgents } from "./engines.ts";

const usage = `Usage: agent_manager.sh [MODE]

  --check              look at every agent CLI (default)
  --ensure             install what cannot be found of SKILL_RUNNER_BOOTSTRAP_ENGINES
  --upgrade            install every engine that can be had, at its wanted version
  --upgrade-engine E   install one engine at its wanted version
  --bootstrap          link the agents' config folders in HOME to SKILL_RUNNER_AGENT_CONFIG_DIR
  --landlock           print LANDLOCK_ENABLED=1 or 0, for the environment of the server

The wanted version is the known-good one, or the one SKILL_RUNNER_ENGINE_VERSIONS names. Every mode but
--bootstrap ends by writing agent_status.json into SKILL_RUNNER_DATA_DIR.`;

type Mode = "check" | "ensure" | "upgrade" | "upgrade-engine" | "bootstrap" | "landlock";
const modes: readonly Mode[] = ["check", "ensure", "upgrade", "bootstrap", "landlock"];

class UsageError extends Error {}

/** Reads the command line. @throws UsageError */
function readMode([option = "--check", ...more]: string[]): { mode: Mode; engine: string | null } {
  const [engine, ...rest] = more;
  if (option === "--upgrade-engine" && engine !== undefined && rest.length === 0)
    return { mode: "upgrade-engine", engine };
  const mode = modes.find((candidate) => option === `--${candidate}`);
  if (mode === undefined || more.length > 0) throw new UsageError(usage);
  return { mode, engine: null };
}

/** The exit code of one call of scripts/agent_manager.sh. stdout is for scripts and people; trouble goes to stderr. */
async function main(args: string[]): Promise<number> {
  if (args.length === 1 && args[0] === "--help") {
    console.log(usage);
    return 0;
  }
  const { mode, engine } = readMode(args);
  const environment = process.env;
  const config = readConfig(environment, resolve(process.cwd()));
  const agents = await loadAgents(config);
  // No mode needs the stored ones, which are the server's: it may be at work in the same folder.
  const records = createRecordStore(memoryDriver());
  // Asked anew, not recalled: this is how a status that has gone stale is put right.
  const { engines, manager } = createEngineParts({ config, agents, environment, records, recall: false });
  if (engine !== null) engines.get(engine);
  const stopping = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => stopping.abort(new Error(`stopped by ${signal}`)));
  }

  let exitCode = 0;
  if (mode === "bootstrap") {
    // A container starts with it: no CLI is asked, which would take seconds.
    await bootstrap(agents, config.agentConfigDir);
    return 0;
  }
  if (mode === "landlock") {
    const { enabled, reason } = await engines.landlock();
    console.error(reason);
    console.log(`LANDLOCK_ENABLED=${enabled ? 1 : 0}`);
  }
  const wanted = {
    ensure: manager.bootstrapEngines(),
    upgrade: manager.installable(),
    "upgrade-engine": engine === null ? [] : [engine],
    check: [],
    landlock: [],
  }[mode];
  for (const id of wanted) {
    if (stopping.signal.aborted) break;
    const outcome = await install(manager, mode === "ensure" ? "ensure" : "upgrade", id, stopping.signal);
    // For one engine alone there is nothing else that could have gone well.
    if (mode === "upgrade-engine" && outcome.status !== "succeeded") exitCode = 1;
  }
  if (mode !== "landlock") for (const status of await engines.statuses()) console.log(describe(status));
  try {
    await manager.check();
  } catch (error) {
    console.error(`WARNING: agent_status.json was not written: ${messageOf(error)}`);
    exitCode = 1;
  }
  return stopping.signal.aborted ? 130 : exitCode;
}

async function install(
  manager: EngineManager,
  act: "ensure" | "upgrade",
  id: string,
  signal: AbortSignal,
): Promise<InstallOutcome> {
  const outcome = await manager[act](id, {
    signal,
    onBegin: ({ action }) => console.error(`${id}: ${action} ...`),
    onOutput: (_stream, text) => process.stderr.write(text),
    onWait: () => console.error(`${id}: waiting for another install into the same npm prefix ...`),
  });
  const { status, error, to_version: version } = outcome;
  if (status === "failed") console.error(`WARNING: ${id} was not installed: ${error}`);
  if (status === "skipped") console.error(`WARNING: ${id} was left out: ${error}`);
  if (status === "succeeded" && outcome.action !== null) console.error(`${id}: ${version} is installed`);
  return outcome;
}

async function bootstrap(agents: readonly Agent[], configRoot: string): Promise<void> {
  const home = process.env.HOME ?? homedir();
  for (const { engine, item, state, note } of await bootstrapConfig({ agents, configRoot, home })) {
    const line = `${engine}: ${item} ${state.replace("_", " ")}${note === null ? "" : ` (${note})`}`;
    if (state === "failed") console.error(`WARNING: ${line}`);
    else console.log(line);
  }
}

function describe({
  engine,
  present,
  cli_version_detected,
  source,
  error,
  how_to_install,
}: EngineStatus): string {
  if (!present) return `${engine}: not installed. ${how_to_install}`;
  const where = source === "managed" ? "in the npm prefix" : "in PATH";
  return `${engine}: ${cli_version_detected ?? "unknown version"} ${where}${error === null ? "" : `; ${error}`}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}
