import { describe, expect, test } from "vitest";
import { readConfig } from "./config.ts";

const capacity = (env: Record<string, string>) => readConfig(env, "/home/x").capacity;
const guide = {
  maxConcurrentHardCap: 16,
  maxQueueSize: 128,
  cpuFactor: 0.75,
  memReserveMb: 1024,
  fdReserve: 256,
  pidReserve: 128,
  fallbackMaxConcurrent: 2,
};

describe("what a run needs", () => {
  test("is left to the engines unless it is set; the other settings have their defaults", () => {
    expect(capacity({})).toEqual({
      ...guide,
      estimatedMemPerRunMb: null,
      estimatedFdPerRun: null,
      estimatedPidPerRun: null,
    });
  });

  test("is set when it says what the default says, and unset when it is empty", () => {
    expect(
      capacity({
        SKILL_RUNNER_ESTIMATED_MEM_PER_RUN_MB: "1024",
        SKILL_RUNNER_ESTIMATED_FD_PER_RUN: "",
        SKILL_RUNNER_ESTIMATED_PID_PER_RUN: "7",
      }),
    ).toMatchObject({ estimatedMemPerRunMb: 1024, estimatedFdPerRun: null, estimatedPidPerRun: 7 });
  });

  test.each(["0", "-1", "1.5", "much"])("cannot be %s", (value) => {
    expect(() => capacity({ SKILL_RUNNER_ESTIMATED_MEM_PER_RUN_MB: value })).toThrow(
      "SKILL_RUNNER_ESTIMATED_MEM_PER_RUN_MB",
    );
  });
});

describe("limits of engines and skills", () => {
  const limits = (env: Record<string, string>) => readConfig(env, "/home/x").limits;

  test("are none by default, and read by name", () => {
    expect(limits({ SKILL_RUNNER_ENGINE_LIMITS: "" })).toEqual({ engines: new Map(), skills: new Map() });
    expect(
      limits({ SKILL_RUNNER_ENGINE_LIMITS: "codex=2, gemini=4", SKILL_RUNNER_SKILL_LIMITS: "haiku=1" }),
    ).toEqual({
      engines: new Map([
        ["codex", 2],
        ["gemini", 4],
      ]),
      skills: new Map([["haiku", 1]]),
    });
  });

  test.each(["SKILL_RUNNER_ENGINE_LIMITS", "SKILL_RUNNER_SKILL_LIMITS"])("that are wrong name %s", (name) => {
    expect(() => limits({ [name]: "a=0" })).toThrow(`${name}: "a=0" is not NAME=NUMBER`);
    expect(() => limits({ [name]: "a=1,a=2" })).toThrow(`${name}: "a" is named twice`);
  });
});
