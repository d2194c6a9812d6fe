import { describe, expect, test } from "vitest";
import { codex } from "../codex/index.ts";
import { parseEngineSelection, parseVersionOverrides, wantedVersion, whyNotInstallable } from "./versions.ts";

const dropped = { ...codex, unavailable: "The vendor dropped it." };
const byHand = { ...codex, npmPackage: null, knownGoodVersion: null };

describe("SKILL_RUNNER_ENGINE_VERSIONS", () => {
  test("names a version or a tag by engine", () => {
    const overrides = parseVersionOverrides(" codex=0.170.0-alpha.1, claude = latest ,");
    expect(Object.fromEntries(overrides)).toEqual({ codex: "0.170.0-alpha.1", claude: "latest" });
    expect(wantedVersion(codex, overrides)).toBe("0.170.0-alpha.1");
    expect(wantedVersion(codex, new Map())).toBe(codex.knownGoodVersion);
    expect(parseVersionOverrides("").size).toBe(0);
  });

  test.each([
    "codex",
    "codex=",
    "codex=^1.0.0",
    "codex=1.0.0 || 2.0.0",
    "codex=1",
    "codex=--force",
    "codex=../x",
    "codex=file:/x",
    "codex=1.0.0=2",
    "=1.0.0",
    "CODEX=1.0.0",
    "codex=1.0.0;claude=2.0.0",
    "codex=1.0.0,codex=2.0.0",
  ])("takes no %j", (text) => {
    expect(() => parseVersionOverrides(text)).toThrow(/is not ENGINE=VERSION|named twice/);
  });
});

test("SKILL_RUNNER_BOOTSTRAP_ENGINES is all, none or a list", () => {
  expect(parseEngineSelection("all")).toBe("all");
  expect(parseEngineSelection("none")).toEqual([]);
  expect(parseEngineSelection("codex, gemini,codex")).toEqual(["codex", "gemini"]);
  for (const text of ["all,codex", "codex,none", "Codex", "codex gemini", "*"])
    expect(() => parseEngineSelection(text), text).toThrow(/does not fit/);
});

test("what cannot be had says why, unless an operator knows where it is", () => {
  expect(whyNotInstallable(codex, new Map())).toBeNull();
  expect(whyNotInstallable(dropped, new Map())).toBe("The vendor dropped it.");
  expect(whyNotInstallable(dropped, new Map([["codex", "1.0.0"]]))).toBeNull();
  expect(whyNotInstallable(byHand, new Map([["codex", "1.0.0"]]))).toContain('put "codex" into PATH');
  expect(wantedVersion(byHand, new Map())).toBeNull();
});
