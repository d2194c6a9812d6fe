import { expect, test } from "vitest";
import { layerSettings, skillSettings } from "./json-settings.ts";

test("a higher layer wins key by key; arrays are replaced", () => {
  const low = { general: { a: 1, b: [1, 2] }, model: "low" };
  expect(layerSettings(low, { general: { b: [3] } }, { model: { name: "high" } })).toEqual({
    general: { a: 1, b: [3] },
    model: { name: "high" },
  });
  expect(low).toEqual({ general: { a: 1, b: [1, 2] }, model: "low" });
});

test("a key named like the prototype is only a key", () => {
  const layered = layerSettings({}, JSON.parse('{"__proto__":{"polluted":true}}'));
  expect(Object.keys(layered)).toEqual(["__proto__"]);
  expect(layered).not.toHaveProperty("polluted");
});

test("a skill without a file sets nothing", () => {
  expect(skillSettings("a", null, ["mcpServers"])).toEqual({});
});

test.each([
  ["no JSON", "{", "not a JSON object"],
  ["a list", "[]", "not a JSON object"],
  ["a reserved key", '{"mcpServers":{}}', "may not set mcpServers"],
  ["a reserved key further down", '{"tools":{"callCommand":"sh"}}', "may not set tools.callCommand"],
])("a skill's file with %s is refused", (_what, config, message) => {
  expect(() => skillSettings("a", config, ["mcpServers", "tools.callCommand"])).toThrow(
    expect.objectContaining({ code: "SKILL_INVALID", message: expect.stringContaining(message) }),
  );
});

test("what is not reserved stays", () => {
  expect(skillSettings("a", '{"tools":{"core":[]}}', ["tools.callCommand"])).toEqual({ tools: { core: [] } });
});
