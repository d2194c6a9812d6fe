import { RunnerError } from "../../errors.ts";
import type { Agent } from "../agent.ts";
import type { JailedRun, JailHost } from "./host.ts";
import { lendCopies } from "./own-copies.ts";
import { runIn, type Trial, tryBubblewrap } from "./trial.ts";
import { type Command, wrap } from "./wrap.ts";

/** auto: on where bubblewrap works; required: no run without; off: never. */
export type JailSetting = "auto" | "required" | "off";

export interface JailState {
  setting: JailSetting;
  works: boolean;
  /** In a sentence, what was tried or set. */
  reason: string;
  /** False when the next answer may be another one: it was short of something, or not in time. */
  final: boolean;
}

/** A command as it is to be started. */
export interface Enclosed {
  command: Command;
  /** Whether it is in the jail. */
  jailed: boolean;
  /** Why it is not, though `auto` asks for it; null otherwise. */
  lacking: string | null;
  /** To be called when no process of the run is left: keeps the logins that it renewed. Never throws. */
  settle(): void;
}

/** The sandbox around the whole of an agent's CLI, for all agents alike: bubblewrap. */
export interface Jail {
  /** Whether agents run in it, and why. Tried once, and remembered when it says something for good. */
  state(): Promise<JailState>;
  /**
   * The command in the jail of a run, or as it is where runs go without.
   * @param executable the CLI that the command starts in the end
   * @throws RunnerError SANDBOX_REQUIRED when no run may go without, and it does not work
   */
  around(agent: Agent, executable: string, run: JailedRun, command: Command): Promise<Enclosed>;
  /** The same for a question to a CLI, in a folder that the caller removes afterwards. */
  aroundQuestion(agent: Agent, folder: string, command: Command): Promise<Enclosed>;
}

export interface JailOptions extends JailHost {
  setting: JailSetting;
}

/** @param attempt what tries bubblewrap on this machine */
export function createJail(options: JailOptions, attempt: typeof tryBubblewrap = tryBubblewrap): Jail {
  const { setting, environment } = options;
  let tried: Promise<Trial> | undefined;

  const once = (): Promise<Trial> => {
    if (tried !== undefined) return tried;
    const asking = attempt(options);
    tried = asking;
    // What was cut short says nothing for good.
    const forget = () => {
      if (tried === asking) tried = undefined;
    };
    asking.then(({ final }) => final || forget(), forget);
    return asking;
  };

  const around = async (agent: Agent, executable: string, run: JailedRun, command: Command) => {
    const bare = { command, jailed: false, lacking: null, settle: () => undefined };
    if (setting === "off") return bare;
    const { use, reason } = await once();
    if (use === null && setting === "required") throw sandboxRequired(reason);
    if (use === null) return { ...bare, lacking: reason };
    const wrapped = wrap(options, { ...use, agent, executable, run }, command);
    return { command: wrapped, jailed: true, lacking: null, ...lendCopies(environment, agent, run) };
  };

  return {
    async state() {
      if (setting === "off")
        return { setting, works: false, reason: "SKILL_RUNNER_SANDBOX is off.", final: true };
      const { use, reason, final } = await once();
      return { setting, works: use !== null, reason, final };
    },
    around,
    aroundQuestion: (agent, folder, command) => around(agent, command.executable, runIn(folder), command),
  };
}

/** @param reason why the sandbox does not work, in sentences */
export function sandboxRequired(reason: string): RunnerError {
  return new RunnerError("SANDBOX_REQUIRED", `${reason} ${requiredWords}`, { retryAfterSeconds: 60 });
}

/** What it means that it is required. */
export const requiredWords =
  "SKILL_RUNNER_SANDBOX=required lets no job run without it; docs/configuration.md says what it needs.";
