import { expect, test } from "vitest";
import { compareVersions, isDottedNumber } from "./version.ts";

test.each([
  ["1.10", "1.9", 1],
  ["1.0", "1.0.0", 0],
  ["1", "1.0.1", -1],
  ["2", "10", -1],
  ["01.002", "1.2", 0],
  ["20261124170000001", "20261124170000000", 1],
])("%s against %s: %i", (a, b, expected) => {
  expect(compareVersions(a, b)).toBe(expected);
  expect(compareVersions(b, a)).toBe(0 - expected);
});

test.each([
  "",
  ".",
  "1.",
  ".1",
  "1..2",
  "v1",
  "1.0-beta",
  "1,0",
  " 1",
  "1\n",
  "-1",
  "1e3",
  `1${"0".repeat(64)}`,
])("%j is no dotted number", (version) => expect(isDottedNumber(version)).toBe(false));
