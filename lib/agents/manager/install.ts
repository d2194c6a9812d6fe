import { access } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Agent } from "../agent.ts";
import { askVersion, withOwnHome } from "../probe.ts";
import { type LockOptions, withInstallLock } from "./lock.ts";
import { type NpmOptions, type OutputStream, runNpm } from "./npm.ts";
import { assertReplaceable, newVersionFolder, remove, useVersion } from "./store.ts";

export interface InstallOptions extends LockOptions {
  npmPrefix: string;
  /** Exact version or tag; the known-good one when not given. */
  version?: string | null;
  environment: Readonly<Record<string, string | undefined>>;
  /** npm is ended after this long. */
  timeoutMs?: number;
  onOutput?(stream: OutputStream, text: string): void;
  /** Asked when it is this install's turn: true, and another has done it meanwhile. */
  isDone?(): Promise<boolean>;
}

/** Why an install did not come about. What was installed before is untouched. */
export class InstallFailed extends Error {
  override readonly name = "InstallFailed";
  /** npm's, when it was npm that failed. */
  readonly exitCode: number | null;

  constructor(message: string, exitCode: number | null = null) {
    super(message);
    this.exitCode = exitCode;
  }
}

const defaultTimeoutMs = 20 * 60_000;
/** Longer than a version is tried out and put into use. */
const tryOutMs = 5 * 60_000;

/**
 * Installs an agent's CLI from npm into the managed prefix: beside what is there, tried, and only then put into its
 * place in one step.
 * @throws InstallFailed
 */
export async function installAgent(agent: Agent, options: InstallOptions): Promise<void> {
  const { npmPrefix } = options;
  const version = options.version ?? agent.knownGoodVersion;
  const packageName = agent.npmPackage;
  if (packageName === null || version === null)
    throw new InstallFailed(agent.unavailable ?? `The ${agent.title} does not come from npm.`);
  try {
    await withInstallLock(npmPrefix, options, async ({ guard, isExclusive }) => {
      if (await options.isDone?.()) return;
      await assertReplaceable(npmPrefix, agent.binary);
      const spareMs = isExclusive ? 0 : (options.timeoutMs ?? defaultTimeoutMs) + tryOutMs;
      const folder = await newVersionFolder(npmPrefix, agent.id, version, spareMs);
      try {
        await load(packageName, version, folder, { ...options, onGroup: guard });
        await tryOut(agent, folder, options.environment);
        options.signal?.throwIfAborted();
      } catch (error) {
        await remove(folder);
        throw error;
      }
      // From its first step on the folder may be in use: a failure in the middle must not take it away.
      await useVersion(npmPrefix, packageName, folder, spareMs);
    });
  } catch (error) {
    if (error instanceof InstallFailed) throw error;
    throw new InstallFailed(error instanceof Error ? error.message : String(error));
  }
}

type LoadOptions = InstallOptions & Pick<NpmOptions, "onGroup">;

async function load(packageName: string, version: string, folder: string, options: LoadOptions) {
  const spec = `${packageName}@${version}`;
  const outcome = await runNpm(
    [
      "install",
      "--global",
      "--prefix",
      folder,
      // Some CLIs fetch or place their binary in a postinstall script; npm 12 runs only those that are named.
      `--allow-scripts=${packageName}`,
      "--no-fund",
      "--no-audit",
      "--no-update-notifier",
      ...(await globalConfig(options)),
      spec,
    ],
    { timeoutMs: defaultTimeoutMs, ...options, cwd: folder },
  );
  if (outcome.exitCode === 0) return;
  const why = outcome.trouble ?? `exit ${outcome.exitCode}`;
  const words = reasonOf(outcome.lastWords);
  throw new InstallFailed(
    `npm could not install ${spec} (${why})${words === "" ? "" : `: ${words}`}`,
    outcome.exitCode,
  );
}

/**
 * The npmrc that npm would read for the real prefix, or else for its own: with a prefix of its own a version would be
 * installed without the machine's certificates and registry.
 */
async function globalConfig({ npmPrefix, environment }: LoadOptions): Promise<string[]> {
  if (Object.keys(environment).some((name) => /^npm_config_globalconfig$/i.test(name))) return [];
  for (const prefix of [npmPrefix, dirname(dirname(process.execPath))]) {
    const path = join(prefix, "etc", "npmrc");
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return ["--globalconfig", path];
  }
  return [];
}

/** What npm says of an error, without where its log lies; or the end of whatever it said. */
function reasonOf(lastWords: string): string {
  const lines = lastWords.split("\n").map((line) => line.trim());
  const errors = lines.flatMap((line) => /^npm (?:error|ERR!) ?(.*)/.exec(line)?.[1] ?? []);
  const telling = errors.filter((line) => line !== "" && !line.startsWith("A complete log"));
  return (telling.length > 0 ? telling.join(" ") : lines.slice(-5).join(" ")).slice(0, 1_000);
}

/** A version that cannot say its own version is not put into use. */
async function tryOut(agent: Agent, folder: string, environment: InstallOptions["environment"]) {
  const path = join(folder, "bin", agent.binary);
  await access(path).catch(() => {
    throw new InstallFailed(`The package ${agent.npmPackage} has no command "${agent.binary}" (any more).`);
  });
  const { version, error } = await withOwnHome(true, environment, (env) => askVersion(path, env));
  if (version === null) throw new InstallFailed(`It was installed but does not run here: ${error}`);
  return version;
}
