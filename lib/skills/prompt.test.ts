import { describe, expect, it } from "vitest";
import { packageFiles, skillOf, skillText } from "./fixtures.test-support.ts";
import { buildPrompt, buildRepairPrompt } from "./prompt.ts";

const run = {
  engine: "codex",
  invokeLine: "$demo",
  input: { source: "/run/uploads/a.md", n: 2 },
  parameter: { tags: ["x", "y"] },
  runDir: "/run",
};
const withPrompts = (prompts: Record<string, string>) =>
  skillOf("demo", packageFiles("demo", {}, { entrypoint: { prompts } }));

describe("buildPrompt", () => {
  it("invokes the skill, then lists inputs and parameters, then gives the task", async () => {
    const prompt = buildPrompt({ ...run, skill: await skillOf("demo", packageFiles("demo")) });
    expect(prompt.split("\n")[0]).toBe("$demo");
    expect(prompt).toContain('- source: "/run/uploads/a.md"\n- n: 2\n');
    expect(prompt).toContain('- tags: ["x","y"]\n');
    expect(prompt).toContain('the task of the skill "demo"');
  });

  it("puts the preamble between the first line and the task", async () => {
    const skill = await skillOf("demo", packageFiles("demo"));
    const prompt = buildPrompt({ ...run, skill, preamble: "Be brief." });
    expect(prompt).toMatch(/^\$demo\n\n.*\n<preamble>\nBe brief\.\n<\/preamble>\n\nInputs/);
  });

  it("gives a plain skill its text as it is", async () => {
    const skill = await skillOf("demo", { "SKILL.md": skillText("demo") });
    const prompt = buildPrompt({ ...run, skill, input: { prompt: 'On "snow"\nplease' }, parameter: {} });
    expect(prompt).toMatch(/^\$demo\n\nOn "snow"\nplease\n\n/);
  });

  it("renders the skill's own template with its variables", async () => {
    const common =
      "{{ skill.id }} {{ skill.version }} in {{ run_dir }}: {{ input.source }}\n" +
      "{% for tag in parameter.tags %}[{{ loop.index }}{{ tag }}]{% endfor %} {{ parameter | tojson }}";
    const prompt = buildPrompt({ ...run, skill: await withPrompts({ common }) });
    expect(prompt).toBe('$demo\n\ndemo 1.0.0 in /run: /run/uploads/a.md\n[1x][2y] {"tags": ["x", "y"]}\n');
  });

  it("prefers the template of the engine", async () => {
    const skill = await withPrompts({ common: "for all", codex: "for codex" });
    expect(buildPrompt({ ...run, skill })).toBe("$demo\n\nfor codex\n");
    expect(buildPrompt({ ...run, skill, engine: "other" })).toBe("$demo\n\nfor all\n");
  });

  it.each([
    ["a call of nothing", "{{ input.x.constructor.constructor('return process')() }}"],
    ["a range without end", "{% for i in range(1000000000) %}x{% endfor %}"],
    [
      "loops that take for ever",
      "{% for i in range(10000) %}{% for j in range(10000) %}{% for k in range(10000) %}x{% endfor %}{% endfor %}{% endfor %}",
    ],
  ])("refuses a template with %s", async (_what, common) => {
    const skill = await withPrompts({ common });
    expect(() => buildPrompt({ ...run, skill })).toThrow(expect.objectContaining({ code: "SKILL_INVALID" }));
  });
});

it("buildRepairPrompt names every mistake and repeats the schema", () => {
  const issues = [
    { pointer: "/n", message: "must be an integer" },
    { pointer: "", message: "holds no JSON object" },
  ];
  const prompt = buildRepairPrompt(issues, { type: "object" });
  expect(prompt).toContain("- /n: must be an integer\n- the answer: holds no JSON object\n");
  expect(prompt).toContain('{"type":"object"}');
  expect(buildRepairPrompt(issues)).not.toContain("Schema");
});
