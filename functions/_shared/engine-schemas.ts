import { z } from "zod";

/** Shapes of the engine endpoints, as they go over the wire. */

export const engineParams = z.object({
  engine: z.string().max(64).describe("The engine's id; GET /v1/engines lists them."),
});

export const engineStatus = z
  .object({
    engine: z.string(),
    title: z.string(),
    present: z.boolean(),
    cli_version_detected: z.string().nullable(),
    source: z.enum(["managed", "path"]).nullable(),
    npm_package: z.string().nullable(),
    known_good_version: z.string().nullable(),
    how_to_install: z.string().nullable(),
    sandbox: z.enum(["on", "off", "unavailable", "none"]).nullable(),
    sandbox_by: z
      .array(z.enum(["bubblewrap", "cli"]))
      .describe(
        "Whose sandbox it is: the runner's around the whole CLI, the CLI's own around its tools, or both.",
      ),
    auth_ready: z.boolean(),
    error: z.string().nullable(),
  })
  .meta({ id: "Engine" });

export const landlock = z
  .object({
    enabled: z.boolean().describe("Whether agents run in their CLI's own sandbox, where it has one."),
    reason: z.string(),
  })
  .meta({ id: "Landlock" });

export const jail = z
  .object({
    setting: z.enum(["auto", "required", "off"]).describe("SKILL_RUNNER_SANDBOX."),
    works: z.boolean().describe("Agents run in it."),
    reason: z.string(),
  })
  .meta({ id: "RunnerSandbox" });

export const engineDetail = z
  .object({
    ...engineStatus.shape,
    path: z.string().nullable().describe("Below the npm prefix for a managed CLI, else its name in PATH."),
    wanted_version: z.string().nullable().describe("What an upgrade installs."),
    sandbox_reason: z.string().nullable(),
    credential_files: z
      .record(z.string(), z.boolean())
      .describe("Files below HOME that a login leaves, and whether they exist."),
    config_error: z
      .string()
      .nullable()
      .describe("Why the CLI cannot keep its settings and logins, or null when it can."),
    last_error: z.string().nullable().describe("From asking the CLI, or from its last install."),
    last_install: z
      .object({
        at: z.string(),
        action: z.enum(["install", "upgrade"]),
        wanted_version: z.string().nullable(),
        exit_code: z.int().nullable(),
        error: z.string().nullable(),
      })
      .nullable(),
    capabilities: z.object({
      resume: z.boolean(),
      output_schema: z.boolean(),
      efforts: z.array(z.string()),
    }),
    estimate: z
      .object({
        memory_mib: z.int(),
        processes: z.int().describe("Processes and threads."),
        descriptors: z.int(),
      })
      .describe("What one run of it needs, as seen on real runs."),
  })
  .meta({ id: "EngineDetail" });

export const listedModel = z
  .object({
    id: z.string(),
    provider: z.string().nullable(),
    provider_id: z.string().nullable(),
    model: z.string(),
    display_name: z.string(),
    deprecated: z.boolean(),
    notes: z.string().nullable(),
    supported_effort: z.array(z.string()),
    source: z.string(),
  })
  .meta({ id: "EngineModel" });

export const modelManifest = z
  .object({
    engine: z.string(),
    cli_version_detected: z.string().nullable(),
    manifest: z.object({
      engine: z.string(),
      snapshots: z.array(z.object({ version: z.string(), file: z.string() })),
    }),
    resolved_snapshot_version: z.string(),
    resolved_snapshot_file: z.string(),
    fallback_reason: z.string().nullable(),
    models: z.array(listedModel),
  })
  .meta({ id: "ModelManifest" });
