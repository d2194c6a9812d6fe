import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { agents } from "../lib/agents/index.ts";
import { eventData } from "../lib/runs/event-types.ts";
import { runStatus } from "../lib/runs/index.ts";
import { createSkillRegistry } from "../lib/skills/index.ts";
import packageJson from "../package.json" with { type: "json" };
import { environment } from "../runtime/config.ts";
import { problems } from "../runtime/problem.ts";
import { readRoutes } from "../runtime/routes.ts";
import { agentsPage, withFacts } from "../scripts/write-agents.ts";
import { configurationPage, withTable } from "../scripts/write-configuration.ts";
import { staleSchemas } from "../scripts/write-schemas.ts";

const root = join(import.meta.dirname, "..");
const pages = [
  "README.md",
  "docs/architecture.md",
  "docs/skills.md",
  "docs/api.md",
  "docs/agents.md",
  "docs/interaction.md",
  "docs/storage.md",
  "docs/nodes.md",
  "docs/reliability.md",
  "docs/configuration.md",
  "docs/containerization.md",
  "docs/security.md",
];
/** A page with its tables squeezed: how a formatter pads them is no matter. */
const squeezed = (text: string) => text.replaceAll(/ {2,}\|/g, " |").replaceAll(/-{3,}/g, "---");
const textOf = (page: string) => squeezed(readFileSync(join(root, page), "utf8"));

/** What the code in a folder says, tests left out. */
const sourceOf = (folder: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !/\.test(-support)?\.ts$/.test(file))
    .map((file) => readFileSync(join(root, folder, file), "utf8"))
    .join("\n");
const source = ["functions", "lib", "runtime"].map(sourceOf).join("\n");

const fence = /^```(\w*)\n([\s\S]*?)^```$/gm;
const fencesOf = (text: string) =>
  [...text.matchAll(fence)].map(([, language, body = ""]) => ({ language, body }));
/** Inline code, outside of fenced blocks. */
const codeOf = (text: string) =>
  [...text.replace(fence, "").matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);

const routes = (await readRoutes()).map(({ method, template }) => ({
  name: `${method.toUpperCase()} ${template}`,
  fits: new RegExp(
    `^${template
      .replaceAll(".", "\\.")
      .replace("{path}", ".+")
      .replaceAll(/\{\w+\}/g, "[^/]+")}$`,
  ),
}));
const routeExists = (path: string, method?: string) =>
  routes.some(({ name, fits }) => fits.test(path) && (method === undefined || name.startsWith(`${method} `)));

test("the table of docs/configuration.md is made from runtime/config.ts (npx tsx scripts/write-configuration.ts)", () => {
  const page = readFileSync(configurationPage, "utf8");
  expect(squeezed(page)).toBe(squeezed(withTable(page)));
});

test("docs/schemas/ is made from what the server checks by (npx tsx scripts/write-schemas.ts)", () => {
  expect(staleSchemas()).toEqual([]);
});

const composeFile = readFileSync(join(root, "docker-compose.yml"), "utf8");

describe.each(pages)("%s names only what there is:", (page) => {
  const text = textOf(page);

  test("files and folders", () => {
    const rooted = /^(functions|lib|runtime|scripts|skills|tests|docs|agent_config|bench)\//;
    const named = codeOf(text).filter((code) => rooted.test(code) && !/[<*{\s]/.test(code));
    const run = [...text.matchAll(/\b(?:node|tsx) (scripts\/[\w.-]+)/g)].map(([, file = ""]) => file);
    // Logins are the operator's own.
    const isOurs = (file: string) => !file.startsWith("agent_config/") || file === "agent_config/";
    expect([...named, ...run].filter((file) => isOurs(file) && !existsSync(join(root, file)))).toEqual([]);
  });

  test("links, with their headings", () => {
    const links = [...text.replace(fence, "").matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(
      ([, link = ""]) => link,
    );
    const broken = links.filter((link) => {
      const [path = "", heading] = link.split("#");
      const target = path === "" ? join(root, page) : join(root, dirname(page), path);
      return !existsSync(target) || (heading !== undefined && !headingsOf(target).includes(heading));
    });
    expect(broken).toEqual([]);
  });

  test("routes", () => {
    const named = [...text.matchAll(/\b(GET|HEAD|POST|PUT|PATCH|DELETE) (\/[\w/{}.-]*)/g)];
    const unknown = named.filter(
      ([, method, path = ""]) => !routeExists(path, method === "HEAD" ? "GET" : method),
    );
    const called = [...text.matchAll(/(?:\$API|127\.0\.0\.1:8000)(\/[\w/$.-]*)/g)]
      .map(([whole, path = ""]) => (whole.startsWith("$API") ? `/v1${path}` : path))
      .filter((path) => path !== "/v1" && !routeExists(path));
    expect([...unknown.map(([whole]) => whole), ...called]).toEqual([]);
  });

  test("variables and codes", () => {
    const agentVariables = agents.flatMap((agent) => agent.environment);
    const isKnown = (name: string) =>
      Object.hasOwn(environment.shape, name) ||
      agentVariables.includes(name) ||
      composeFile.includes(`\${${name}:-`) ||
      (name.endsWith("_*") &&
        Object.keys(environment.shape).some((known) => known.startsWith(name.slice(0, -1)))) ||
      new RegExp(`"${name.replace("*", "")}"|const trackingVariable = "${name}"`).test(source) ||
      /^(PATH|NPM_CONFIG_PREFIX|TMPDIR|LC_\*|LD_\*|XDG_\*_HOME|__SKILL_DONE__)$/.test(name);
    const named = codeOf(text)
      .map((code) => code.split("=", 1)[0] ?? "")
      .filter((code) => /^_*[A-Z][A-Z0-9]*_[A-Z0-9_*]+$/.test(code));
    const ours = text.match(/\b(SKILL_RUNNER|PROCESS)_[A-Z][A-Z_]+[A-Z]\b/g) ?? [];
    expect([...named, ...ours].filter((name) => !isKnown(name))).toEqual([]);
  });

  test("npm scripts", () => {
    const scripts: Record<string, string> = packageJson.scripts;
    const named = [...text.matchAll(/\bnpm (?:run ([\w:]+)|(test|start)\b)/g)].map(
      ([, run, short]) => run ?? short ?? "",
    );
    const broken = named.filter((name) => {
      const file = /\bnode (scripts\/[\w.-]+)/.exec(scripts[name] ?? "")?.[1];
      return scripts[name] === undefined || (file !== undefined && !existsSync(join(root, file)));
    });
    expect(broken).toEqual([]);
  });
});

describe("docs/api.md is complete:", () => {
  const text = textOf("docs/api.md");
  const hasRow = (start: string) => text.includes(`\n| ${start} |`);

  test("every endpoint", () => {
    expect(routes.map(({ name }) => name).filter((name) => !hasRow(`\`${name}\``))).toEqual([]);
  });

  test("every error code with its status and title", () => {
    const rows = Object.entries(problems).map(
      ([code, { status, title }]) => `\`${code}\` | ${status} | ${title}`,
    );
    expect(rows.filter((row) => !hasRow(row))).toEqual([]);
  });

  test("every state, and every code a job can fail or warn with", () => {
    const codes = [
      ...sourceOf("lib/runs").matchAll(/\b(?:code|auth|model|session|other): "([A-Z][A-Z_]+)"/g),
    ];
    const warnings = [...sourceOf("lib/runs").matchAll(/\.warn\(\s*"([A-Z_]+)"/g)];
    const names = [...runStatus.options, ...[...codes, ...warnings].map(([, code = ""]) => code)];
    expect(names.length).toBeGreaterThan(20);
    expect(names.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });

  test("every event type, and no other", () => {
    const named = [
      ...text.matchAll(
        /^\| `((?:conversation|assistant|user|interaction|auth|diagnostic|raw)\.[\w.]+)` \|/gm,
      ),
    ];
    expect(named.map(([, type = ""]) => type).sort()).toEqual(Object.keys(eventData).sort());
  });
});

describe("the skills of the docs", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "docs-"));
    for (const { body } of ["README.md", "docs/skills.md"].flatMap((page) => fencesOf(textOf(page)))) {
      for (const [, path = "", content = ""] of body.matchAll(/^cat > (\S+) <<'END'\n([\s\S]*?)^END$/gm)) {
        mkdirSync(join(folder, dirname(path)), { recursive: true });
        writeFileSync(join(folder, path), content);
      }
    }
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each(["glossary", "minutes"])("%s is a package without errors or warnings", async (id) => {
    const skills = createSkillRegistry({
      root: join(folder, "skills"),
      engines: agents.map((agent) => agent.id),
    });
    expect(await skills.get(id)).toMatchObject({ kind: "package", errors: [], warnings: [] });
  });
});

test("JSON in the docs is JSON", () => {
  const blocks = pages
    .flatMap((page) => fencesOf(textOf(page)))
    .filter(({ language }) => language === "json");
  expect(blocks.length).toBeGreaterThan(0);
  for (const { body } of blocks) expect(() => JSON.parse(body), body).not.toThrow();
});

test("the tables of docs/agents.md are made from the adapters (npx tsx scripts/write-agents.ts)", () => {
  const page = readFileSync(agentsPage, "utf8");
  expect(page).toBe(withFacts(page));
});

test("the README names the engines that can be installed", () => {
  const installable = agents.filter(({ unavailable }) => unavailable === null).map(({ id }) => id);
  const [, first, others = ""] = /--upgrade-engine (\w+) +# or ([^:]+):/.exec(textOf("README.md")) ?? [];
  expect([first, ...others.split(", ")]).toEqual(installable);
});

/** Headings as GitHub spells them in links. */
function headingsOf(file: string): string[] {
  const text = readFileSync(file, "utf8").replace(fence, "");
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, "")
      .replaceAll(/\s/g, "-"),
  );
}
