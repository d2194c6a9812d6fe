import { existsSync, statSync } from "node:fs";
import { access, constants, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import type { Agent } from "../agent.ts";
import { askCli } from "../ask-cli.ts";
import { pathOf } from "../credentials.ts";
import { makeProbeFolder } from "../probe-folders.ts";
import { jailArguments, kernelFiles, type Privileges, splitEnvironment } from "./arguments.ts";
import { homeOf } from "./hidden.ts";
import { type JailedAgent, type JailedRun, type JailHost, layOutJail, whyNotHidden } from "./layout.ts";

/** auto: on where bubblewrap works; required: no run without; off: never. */
export type JailSetting = "auto" | "required" | "off";

export interface JailState {
  setting: JailSetting;
  works: boolean;
  /** In a sentence, what was tried or set. */
  reason: string;
}

/** A process as it is started. */
export interface Command {
  executable: string;
  args: string[];
  env: Record<string, string>;
}

/** The sandbox around the whole of an agent's CLI, for all agents alike: bubblewrap. */
export interface Jail {
  /** Whether agents run in it, and why. Tried once, and remembered. */
  state(): Promise<JailState>;
  /**
   * The command in the jail of a run; null where runs go without.
   * @param executable the CLI that the command starts in the end
   */
  around(agent: Agent, executable: string, run: JailedRun, command: Command): Promise<Command | null>;
  /** The same for a question to a CLI, in a folder that the caller removes afterwards. */
  aroundQuestion(agent: Agent, folder: string, command: Command): Promise<Command | null>;
}

export interface JailOptions extends JailHost {
  setting: JailSetting;
}

interface Tried {
  bubblewrap: string | null;
  privileges: Privileges;
  works: boolean;
  reason: string;
}

const tryTimeoutMs = 20_000;
const isRoot = () => process.getuid?.() === 0;

export function createJail(options: JailOptions): Jail {
  const { setting, environment } = options;
  let tried: Promise<Tried> | undefined;
  const existingKernelFiles = kernelFiles.filter((path) => existsSync(path));

  const wrap = (
    bubblewrap: string,
    privileges: Privileges,
    agent: JailedAgent,
    executable: string,
    run: JailedRun,
    command: Command,
  ): Command => {
    const mounts = layOutJail(options, agent, executable, run);
    const { outside, inside } = splitEnvironment(command.env);
    const home = homeOf(environment);
    const ownHome = home !== null && command.env.HOME !== undefined ? {} : { HOME: home ?? run.home };
    const args = jailArguments({
      privileges,
      mounts,
      cwd: run.workspace,
      setEnvironment: { ...inside, ...ownHome },
      kernelFiles: existingKernelFiles,
    });
    return {
      executable: bubblewrap,
      args: [...args, command.executable, ...command.args],
      env: outside,
    };
  };

  const attempt = async (bubblewrap: string, privileges: Privileges) => {
    const folder = await makeProbeFolder();
    try {
      const env = { PATH: environment.PATH ?? "/usr/bin:/bin" };
      const { executable, args } = wrap(bubblewrap, privileges, nobody, bubblewrap, runIn(folder), {
        executable: "true",
        args: [],
        env,
      });
      const answer = await askCli(executable, args, {
        env,
        cwd: tmpdir(),
        timeoutMs: tryTimeoutMs,
        maxBuffer: 64 * 1024,
      });
      return {
        works: !answer.failed,
        words: answer.stderr.trim().split("\n").at(-1) ?? "",
        final: answer.exitCode !== undefined,
      };
    } finally {
      await rm(folder, { recursive: true, force: true }).catch(() => undefined);
    }
  };

  const findOut = async (): Promise<Tried & { final: boolean }> => {
    const none = { bubblewrap: null, privileges: "user" as const, works: false, final: true };
    if (process.platform !== "linux") return { ...none, reason: "bubblewrap needs Linux." };
    const bubblewrap = await inPath("bwrap", environment.PATH ?? "");
    if (bubblewrap === null)
      return {
        ...none,
        reason: "bubblewrap is not installed (no bwrap in PATH): install the package bubblewrap.",
      };
    const unhidden = whyNotHidden(options);
    if (unhidden !== null) return { ...none, reason: `bubblewrap cannot be used: ${unhidden}.` };
    const kinds: Privileges[] = isRoot() ? ["root", "root-in-namespace"] : ["user"];
    let last = { works: false, words: "", final: true };
    for (const privileges of kinds) {
      last = await attempt(bubblewrap, privileges);
      if (!last.works) continue;
      const foreign = privileges === "root-in-namespace" ? foreignLogins(options) : null;
      if (foreign !== null) return { ...none, reason: foreign };
      return {
        bubblewrap,
        privileges,
        works: true,
        final: true,
        reason: "bubblewrap was tried and works here.",
      };
    }
    return {
      ...none,
      final: last.final,
      reason: `bubblewrap was tried and does not work here: ${last.words || "it did not answer"}.`,
    };
  };

  const once = (): Promise<Tried> => {
    if (tried !== undefined) return tried;
    const asking = findOut();
    tried = asking;
    // What was cut short says nothing for good.
    const forget = () => {
      if (tried === asking) tried = undefined;
    };
    asking.then(({ final }) => final || forget(), forget);
    return asking;
  };

  const around = async (agent: Agent, executable: string, run: JailedRun, command: Command) => {
    if (setting === "off") return null;
    const { works, bubblewrap, privileges } = await once();
    return works && bubblewrap !== null
      ? wrap(bubblewrap, privileges, agent, executable, run, command)
      : null;
  };

  return {
    async state() {
      if (setting === "off") return { setting, works: false, reason: "SKILL_RUNNER_SANDBOX is off." };
      const { works, reason } = await once();
      return { setting, works, reason };
    },
    around,
    aroundQuestion: (agent, folder, command) => around(agent, command.executable, runIn(folder), command),
  };
}

/** An agent of which nothing is shown. */
const nobody: JailedAgent = {
  homes: [],
  credentialFiles: [],
  settings: [],
  environment: [],
  configVariable: null,
};

function runIn(folder: string): JailedRun {
  return {
    workspace: join(folder, "workspace"),
    temporary: join(folder, "tmp"),
    home: join(folder, "home"),
    turnDir: null,
  };
}

/** Root in a user namespace is not asked for leave only where root owns the files. Null when that is so of all logins. */
function foreignLogins({ agents, environment }: JailHost): string | null {
  const places = agents.flatMap((agent) =>
    [...agent.homes.map(({ home }) => home), ...agent.credentialFiles].map((path) =>
      pathOf(agent, path, environment),
    ),
  );
  const foreign = places.some((path) => (statSync(path, { throwIfNoEntry: false })?.uid ?? 0) !== 0);
  return foreign
    ? "bubblewrap works here, but root without CAP_SYS_ADMIN could not use the agents' logins in it, as another user owns them: run the server as that user, or give it CAP_SYS_ADMIN."
    : null;
}

async function inPath(name: string, path: string): Promise<string | null> {
  for (const folder of path.split(delimiter).filter(isAbsolute)) {
    const candidate = join(folder, name);
    const isThere = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return candidate;
  }
  return null;
}
