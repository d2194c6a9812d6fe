import { expect, test } from "vitest";
import { RunnerError } from "../../lib/errors.ts";
import { parseAddress } from "./addresses.ts";
import { parseHosts, parseOrigins } from "./allow-lists.ts";
import { parseApiKeys } from "./api-keys.ts";
import { createDoors, type DoorsOptions } from "./doors.ts";

const closed: DoorsOptions = {
  keys: [],
  ownName: "0.0.0.0",
  allowedHosts: null,
  allowedOrigins: [],
  publishedAt: null,
  rateLimit: null,
};

/** The code that somebody from `remoteAddress` is refused with, or null. */
async function refusal(
  options: Partial<DoorsOptions>,
  remoteAddress: string | undefined,
  headers: Record<string, string> = {},
  localAddress?: string,
): Promise<string | null> {
  const doors = createDoors({ ...closed, ...options });
  try {
    const knock = {
      headers: { host: "localhost:8000", ...headers },
      socket: { remoteAddress, localAddress },
    };
    await doors.admit({ method: "POST", ...knock }, "admin");
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(RunnerError);
    return error instanceof RunnerError ? error.code : null;
  }
}

test.each(["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])("%s is this machine", async (address) => {
  expect(await refusal({}, address)).toBeNull();
});

test.each(["172.17.0.1", "10.0.0.7", "::ffff:10.0.0.7", "fe80::1", "2001:db8::1"])(
  "%s is another, and needs a key, or to come through a port that only this machine reaches",
  async (address) => {
    expect(await refusal({}, address)).toBe("FORBIDDEN");
    expect(await refusal({ publishedAt: "0.0.0.0" }, address)).toBe("FORBIDDEN");
    expect(await refusal({ publishedAt: "192.168.1.5" }, address)).toBe("FORBIDDEN");
    expect(await refusal({ publishedAt: "127.0.0.1" }, address)).toBeNull();
  },
);

test("nobody is let in from nowhere: a connection that is gone has no address", async () => {
  expect(await refusal({ publishedAt: "127.0.0.1" }, undefined)).toBe("FORBIDDEN");
  expect(await refusal({}, undefined)).toBe("FORBIDDEN");
});

test("who has the very address that was called is on this machine", async () => {
  const host = "192.168.1.5:8000";
  expect(await refusal({ ownName: "192.168.1.5" }, "192.168.1.5", { host }, "192.168.1.5")).toBeNull();
  expect(await refusal({ ownName: "192.168.1.5" }, "192.168.1.6", { host }, "192.168.1.5")).toBe("FORBIDDEN");
});

test.each([
  { "x-forwarded-for": "203.0.113.7" },
  // The caller's own word comes first, the proxy's last.
  { "x-forwarded-for": "127.0.0.1, 203.0.113.7" },
  { "x-forwarded-for": "203.0.113.7, 127.0.0.1" },
  { "x-forwarded-for": "unknown" },
  { "x-real-ip": "203.0.113.7" },
  { forwarded: "for=127.0.0.1" },
  { via: "1.1 caddy" },
])("what a proxy on this machine passes on from elsewhere is refused: %j", async (headers) => {
  expect(await refusal({}, "127.0.0.1", headers)).toBe("FORBIDDEN");
});

test("a proxy of this machine's own for a page under development is let in", async () => {
  expect(await refusal({}, "127.0.0.1", { "x-forwarded-for": "127.0.0.1, ::1" })).toBeNull();
});

test.each([
  [{ "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" }, "ORIGIN_NOT_ALLOWED"],
  [{ "sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors" }, "ORIGIN_NOT_ALLOWED"],
  [{ "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" }, "ORIGIN_NOT_ALLOWED"],
  [{ "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors" }, null],
  [{ "sec-fetch-site": "none", "sec-fetch-mode": "navigate" }, null],
])("what a browser sends without an origin for another site: %j", async (headers, code) => {
  expect(await refusal({}, "127.0.0.1", headers)).toBe(code);
});

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
  [`ci:run:${hash}, cd:read:${hash.toUpperCase()}`, /"cd" has the hash of another/],
  [" , ", /there is no key in it/],
])("a list of keys that cannot be used says which entry, and repeats none: %#", (text, message) => {
  expect(() => parseApiKeys(text)).toThrow(message);
  expect(() => parseApiKeys(text)).not.toThrow(/pasted|aaaa/);
});

test("an address that a port is published at", () => {
  expect(["127.0.0.1", "localhost", "[::1]", "::1", "0.0.0.0"].map(parseAddress)).toEqual([
    "127.0.0.1",
    "127.0.0.1",
    "::1",
    "::1",
    "0.0.0.0",
  ]);
  expect(() => parseAddress("runner.example")).toThrow(/IP address/);
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
