import { expect, test } from "vitest";
import { explainLandlock } from "./landlock.ts";

const works = [{ engine: "codex", works: true }];
const fails = [{ engine: "codex", works: false }];

test.each([
  [null, "workspace-write", works, true, /Kernel 6\.1\.0 .*codex works here/],
  [null, "workspace-write", fails, false, /Kernel 6\.1\.0 .*codex was tried and does not work/],
  [null, "workspace-write", [], true, /no CLI with a sandbox is installed/],
  [null, "workspace-write", [...fails, { engine: "claude", works: true }], true, /claude works here/],
  [null, "unrestricted", works, false, /older than 5\.13/],
  [false, "unrestricted", works, false, /LANDLOCK_ENABLED is 0/],
  [true, "workspace-write", works, true, /LANDLOCK_ENABLED is 1/],
  [true, "workspace-write", fails, false, /LANDLOCK_ENABLED is 1, but/],
] as const)("LANDLOCK_ENABLED %s, %s, %j: %s", (setting, intent, tried, enabled, reason) => {
  expect(explainLandlock(setting, intent, tried, "6.1.0")).toEqual({
    enabled,
    reason: expect.stringMatching(reason),
  });
});
