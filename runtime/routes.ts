import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { RunnerFunction } from "./function.ts";

export const methods = ["get", "post", "put", "patch", "delete"] as const;
export type Method = (typeof methods)[number];

/** One endpoint and where it is mounted. */
export interface Route {
  method: Method;
  /** Hono's spelling: `/v1/jobs/:request_id/artifacts/:path{.+}`. */
  pattern: string;
  /** OpenAPI's spelling: `/v1/jobs/{request_id}/artifacts/{path}`. */
  template: string;
  /** Loads the file when it is first called, and keeps it: a process start reads none of them. At once from then on. */
  load(): RunnerFunction | Promise<RunnerFunction>;
}

/**
 * Reads functions/: `v1/jobs/[request_id]/index.get.ts` is GET /v1/jobs/{request_id}, `[...path].get.ts` takes the rest
 * of the path. Fixed names come before parameters, so that they win. `_shared/` holds what several endpoints use.
 * @param folder functions/ as source (.ts) or as built (.js)
 * @throws Error for a file whose name is no route
 */
export async function readRoutes(folder: string): Promise<Route[]> {
  const files = (await readdir(folder, { recursive: true }))
    .filter((file) => /\.(ts|js)$/.test(file) && !/\.test\.ts$/.test(file) && !file.startsWith("_"))
    .sort(fixedFirst);
  return files.map((file) => {
    let loaded: RunnerFunction | undefined;
    let loading: Promise<RunnerFunction> | undefined;
    let failures = 0;
    const load = async () => {
      try {
        loaded = await loadFunction(folder, file, failures);
        return loaded;
      } catch (error) {
        failures += 1;
        throw error;
      } finally {
        // Tried again with the next call when it failed: it may have been out of descriptors.
        loading = undefined;
      }
    };
    return {
      ...routeOf(file),
      load() {
        if (loaded) return loaded;
        loading ??= load();
        return loading;
      },
    };
  });
}

/** @param failures how often it could not be loaded: Node remembers a failed import by its URL for good */
async function loadFunction(folder: string, file: string, failures: number): Promise<RunnerFunction> {
  const url = pathToFileURL(join(folder, file)).href;
  const module: { default?: unknown } = await import(failures === 0 ? url : `${url}?again=${failures}`);
  if (isRunnerFunction(module.default)) return module.default;
  throw new Error(`functions/${file} must export defineFunction(...) as its default`);
}

/** The route a file's path spells. */
export function routeOf(file: string): Omit<Route, "load"> {
  const match = /^(.*)\.(\w+)\.(?:ts|js)$/.exec(file);
  const method = methods.find((candidate) => candidate === match?.[2]);
  if (!match?.[1] || method === undefined) {
    throw new Error(`functions/${file}: name it <path>.<method>.ts with method ${methods.join(", ")}`);
  }
  const segments = match[1].split("/").filter((segment) => segment !== "index");
  return {
    method,
    pattern: `/${segments.map((segment) => segment.replace(/^\[\.\.\.(\w+)\]$/, ":$1{.+}").replace(/^\[(\w+)\]$/, ":$1")).join("/")}`,
    template: `/${segments.map((segment) => segment.replace(/^\[(?:\.\.\.)?(\w+)\]$/, "{$1}")).join("/")}`,
  };
}

function fixedFirst(a: string, b: string): number {
  const rank = (file: string) => file.replaceAll("[...", "\u{10fffe}").replaceAll("[", "\u{10fffd}");
  return rank(a) < rank(b) ? -1 : 1;
}

function isRunnerFunction(value: unknown): value is RunnerFunction {
  return typeof value === "object" && value !== null && "call" in value && "responses" in value;
}
