import { expect, test } from "vitest";
import { RunnerError } from "../../lib/errors.ts";
import { parseHosts, parseOrigins } from "./allow-lists.ts";
import { parseApiKeys } from "./api-keys.ts";
import { createDoors, type DoorsOptions } from "./doors.ts";

const closed: DoorsOptions = {
  keys: [],
  allowedHosts: null,
  allowedOrigins: [],
  publishedAt: null,
  rateLimit: null,
};

/** The code that somebody from `remoteAddress` is refused with, or null. */
async function refusal(
  options: Partial<DoorsOptions>,
  remoteAddress: string | undefined,
): Promise<string | null> {
  const doors = createDoors({ ...closed, ...options });
  try {
    await doors.admit({ headers: { host: "localhost:8000" }, socket: { remoteAddress } }, "admin");
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(RunnerError);
    return error instanceof RunnerError ? error.code : null;
  }
}

test.each(["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])("%s is this machine", async (address) => {
  expect(await refusal({}, address)).toBeNull();
});

test.each(["172.17.0.1", "10.0.0.7", "::ffff:10.0.0.7", "fe80::1", "2001:db8::1", "", undefined])(
  "%s is another, and needs a key, or to come through a port that only this machine reaches",
  async (address) => {
    expect(await refusal({}, address)).toBe("FORBIDDEN");
    expect(await refusal({ publishedAt: "0.0.0.0" }, address)).toBe("FORBIDDEN");
    expect(await refusal({ publishedAt: "192.168.1.5" }, address)).toBe("FORBIDDEN");
    expect(await refusal({ publishedAt: "127.0.0.1" }, address)).toBeNull();
  },
);

test("with keys no place is better than another", async () => {
  const keys = parseApiKeys(`ci:run:${"0".repeat(64)}`);
  expect(await refusal({ keys }, "127.0.0.1")).toBe("UNAUTHORIZED");
  expect(await refusal({ keys, publishedAt: "127.0.0.1" }, "127.0.0.1")).toBe("UNAUTHORIZED");
});

const hash = "a".repeat(64);
test.each([
  ["sr_a-key-that-was-pasted", /entry 1 must be name:scope:hash.*api-key\.mjs/],
  [`ci:run:${hash}, ci:root:${hash}`, /entry 2 /],
  [`ci:run:${hash}, ci:read:${hash}`, /"ci" is there twice/],
  [`ci:run:${hash.slice(1)}`, /entry 1 /],
])("a list of keys that cannot be used says which entry, and repeats none: %#", (text, message) => {
  expect(() => parseApiKeys(text)).toThrow(message);
  expect(() => parseApiKeys(text)).not.toThrow(/pasted|aaaa/);
});

test("names and origins that could never fit are told", () => {
  expect(parseHosts("Runner.example, [::1]")).toEqual(["runner.example", "[::1]"]);
  expect(parseOrigins("https://App.example  http://localhost:3000")).toEqual([
    "https://app.example",
    "http://localhost:3000",
  ]);
  for (const text of ["http://a.example", "a.example:80", "a/b", "*"])
    expect(() => parseHosts(text), text).toThrow(/host name/);
  for (const text of ["app.example", "https://app.example/", "https://app.example/x", "*", "null"])
    expect(() => parseOrigins(text), text).toThrow(/origin/);
});
