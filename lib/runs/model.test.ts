import { expect, test } from "vitest";
import { parseModel } from "./model.ts";

const none = { model: null, provider_id: null, effort: null };

test.each([
  [{ ...none }, { ...none }],
  [
    { ...none, model: "gpt-5.5" },
    { ...none, model: "gpt-5.5" },
  ],
  [
    { ...none, model: "gpt-5.5@high" },
    { ...none, model: "gpt-5.5", effort: "high" },
  ],
  [
    { ...none, model: "openai/gpt-5.5@low" },
    { model: "gpt-5.5", provider_id: "openai", effort: "low" },
  ],
  [
    { ...none, model: "m@low", effort: "high" },
    { ...none, model: "m", effort: "high" },
  ],
  [
    { ...none, model: "m", effort: "default" },
    { ...none, model: "m", effort: null },
  ],
])("reads %j", (request, expected) => {
  expect(parseModel(request, ["low", "high"])).toEqual(expected);
});

test.each([
  [{ ...none, model: "--config=x" }, "/model"],
  [{ ...none, model: "a b" }, "/model"],
  [{ ...none, model: "" }, "/model"],
  [{ ...none, model: "m@ultra" }, "/effort"],
  [{ ...none, provider_id: "-x" }, "/provider_id"],
])("refuses %j", (request, pointer) => {
  expect(() => parseModel(request, ["low"])).toThrow(
    expect.objectContaining({ code: "MODEL_INVALID", issues: [expect.objectContaining({ pointer })] }),
  );
});
