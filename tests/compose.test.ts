import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { agents } from "../lib/agents/index.ts";
import { environment } from "../runtime/config.ts";

/** What of docker-compose.yml a promise hangs on; that it works is seen in tests/container. */
const service = z.object({
  ports: z.array(z.string()),
  volumes: z.array(z.string()),
  environment: z.record(z.string(), z.string().nullable()),
});
const file = z.object({ services: z.object({ "skill-runner": service }) });
const text = readFileSync(join(import.meta.dirname, "../docker-compose.yml"), "utf8");
const { "skill-runner": runner } = file.parse(parse(text)).services;

test("every key that an agent can use reaches it, and what the file passes on means something", () => {
  const passed = Object.keys(runner.environment);
  expect(passed).toEqual(expect.arrayContaining(agents.flatMap((agent) => agent.keyVariables)));
  const known = [...Object.keys(environment.shape), ...agents.flatMap((agent) => agent.environment)];
  expect(passed.filter((name) => !known.includes(name))).toEqual([]);
  expect(passed.length).toBe(new Set(passed).size);
});

test("the mounts and the port are those of the guide, and only this machine reaches the port", () => {
  expect(runner.volumes).toEqual([
    "./skills:/app/skills",
    "./agent_config:/opt/config",
    "agent_cache:/opt/cache",
    "./data:/data",
  ]);
  expect(runner.ports).toEqual([expect.stringMatching(/:-127\.0\.0\.1\}:8000:8000$/)]);
});
