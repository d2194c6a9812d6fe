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

/** Places inside the container, which the image sets, and paths that would mean another file there. */
const places =
  /^(PORT|HOST|NPM_CONFIG_PREFIX|CODEX_HOME|CLAUDE_CONFIG_DIR|OPENCODE_CONFIG|QWEN_HOME|GOOGLE_APPLICATION_CREDENTIALS)$|_DIR$|_ACP_AGENTS$/;

test("every setting of the server and of an agent can be made on the host, and what the file passes on means something", () => {
  const passed = Object.keys(runner.environment);
  const settings = [...Object.keys(environment.shape), ...agents.flatMap((agent) => agent.environment)];
  const wanted = settings.filter((name) => !places.test(name));
  expect(passed).toEqual(expect.arrayContaining(wanted));
  // What Amazon's own client reads, for a storage on S3.
  const s3 = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
  const known = [...s3, ...Object.keys(environment.shape), ...agents.flatMap((agent) => agent.environment)];
  expect(passed.filter((name) => !known.includes(name))).toEqual([]);
  expect(passed.length).toBe(new Set(passed).size);
});

test("the mounts and the port are those of the guide, and only this machine reaches the port", () => {
  expect(runner.volumes).toEqual([
    "./skills:/app/skills:z",
    "./agent_config:/opt/config:z",
    "agent_cache:/opt/cache",
    "./data:/data:z",
  ]);
  expect(runner.ports).toEqual([expect.stringMatching(/:-127\.0\.0\.1\}:8000:8000$/)]);
});
