import { describe, expect, test } from "vitest";
import { parseQueueUrl } from "./queue/index.ts";
import { parseStorageUrl } from "./storage/index.ts";

describe.each([
  ["the storage", parseStorageUrl],
  ["the queue", parseQueueUrl],
])("a redis URL of %s", (_name, parse) => {
  test.each([
    "redis://host",
    "redis://host/",
    "redis://:p%25a%2F@host:6379/3",
    "rediss://u:p@host/0?prefix=b",
  ])("may be %s", (url) => {
    expect(parse(url)).toMatchObject({ url: expect.stringContaining("//") });
  });

  test.each([
    ["redis://host/jobs", "number of a database"],
    ["redis://host/0/1", "number of a database"],
    ["redis://host/?db=jobs", "number of a database"],
    ["redis://:hidden%zz@host/0", "write %25 for %"],
    ["redis://:100%hidden@host/0", "write %25 for %"],
    ["redis://user:123#hidden@host/0", "write %23 for #"],
  ])("is not %s, and what is said does not hold its password", (url, words) => {
    expect(() => parse(url)).toThrow(words);
    expect(() => parse(url)).not.toThrow(/hidden/);
  });
});

test("a PostgreSQL URL whose password is not encoded is told as that", () => {
  expect(() => parseStorageUrl("postgres://u:100%hidden@host/jobs")).toThrow("write %25 for %");
  expect(() => parseStorageUrl("postgres://u:hid/den@host/jobs")).toThrow("%2F for /");
});
