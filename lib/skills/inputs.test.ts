import { expect, it } from "vitest";
import { skillWith } from "./fixtures.test-support.ts";
import { splitInputs, validateUploadedInput } from "./inputs.ts";

const input = {
  type: "object",
  properties: {
    text: { type: "string", "x-input-source": "inline" },
    source: { type: "string", "x-input-source": "file", extensions: ["MD", ".txt"] },
    extra: { type: "string" },
  },
  required: ["text", "source"],
};

it("sorts inputs by source; one that says nothing is a file", async () => {
  expect(splitInputs(await skillWith({ input }))).toEqual({
    inline: ["text"],
    file: [
      { name: "source", required: true, extensions: [".md", ".txt"] },
      { name: "extra", required: false },
    ],
  });
});

it.each<[what: string, input: Record<string, unknown>, files: string[], resolved: Record<string, string>]>([
  ["named in the request", { source: "in/a.MD" }, ["in/a.MD"], { source: "in/a.MD" }],
  ["named with a dot", { source: "./a.md", extra: "b" }, ["b", "a.md"], { source: "a.md", extra: "b" }],
  ["called like the input", {}, ["source"], { source: "source" }],
  [
    "called like the input, with an extension",
    {},
    ["source.txt", "extra.bin"],
    { source: "source.txt", extra: "extra.bin" },
  ],
  ["the exact name wins", {}, ["source", "extra", "extra.bin"], { source: "source", extra: "extra" }],
])("finds a file %s", async (_what, given, files, resolved) => {
  const result = validateUploadedInput(await skillWith({ input }), given, files);
  expect(result.resolved).toEqual(resolved);
});

it.each<[what: string, input: Record<string, unknown>, files: string[], pointer: string, message: string]>([
  ["nothing was uploaded", {}, [], "/source", "is required"],
  ["the named file is missing", { source: "a.md" }, ["b.md"], "/source", 'no file "a.md"'],
  ["the type is wrong", { source: "a.exe" }, ["a.exe"], "/source", ".md, .txt"],
  ["the type is wrong and none was named", {}, ["source.exe"], "/source", ".md, .txt"],
  ["two files fit", {}, ["source.md", "source.txt"], "/source", "name one"],
  ["the path leads out", { source: "../a.md" }, ["../a.md"], "/source", "relative path"],
  ["a file belongs to no input", {}, ["source.md", "stray"], "", '"stray" belongs to no input'],
])("says so when %s", async (_what, given, files, pointer, message) => {
  const { issues } = validateUploadedInput(await skillWith({ input }), given, files);
  expect(issues).toEqual([{ pointer, message: expect.stringContaining(message) }]);
});

it("lets any file pass when the skill has no input schema", async () => {
  expect(validateUploadedInput(await skillWith({}), {}, ["a"])).toEqual({ issues: [], resolved: {} });
});
