import { expect, test } from "vitest";
import { sandboxIntent } from "./sandbox.ts";

const linux = (release: string) => ({ platform: "linux", release });

test.each([
  [null, linux("5.13.0"), "workspace-write"],
  [null, linux("6.18.44-fc"), "workspace-write"],
  [null, linux("5.12.19"), "unrestricted"],
  [null, linux("4.19.0-17-amd64"), "unrestricted"],
  [null, { platform: "darwin", release: "24.0.0" }, "workspace-write"],
  [true, linux("4.19.0"), "workspace-write"],
  [false, linux("6.18.0"), "unrestricted"],
])("LANDLOCK_ENABLED=%s on %j: %s", (setting, system, intent) => {
  expect(sandboxIntent(setting, system)).toBe(intent);
});
