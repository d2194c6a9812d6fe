import type { RunnerFunction } from "./function.ts";
import { functionFiles } from "./function-files.ts";

export const methods = ["get", "post", "put", "patch", "delete"] as const;
export type Method = (typeof methods)[number];

/** One endpoint and where it is mounted. */
export interface Route {
  method: Method;
  /** Hono's spelling: `/v1/jobs/:request_id/artifacts/:path{.+}`. */
  pattern: string;
  /** OpenAPI's spelling: `/v1/jobs/{request_id}/artifacts/{path}`. */
  template: string;
  /** Its function. The first call evaluates the file, so that a process start need not; later ones answer at once. */
  load(): RunnerFunction | Promise<RunnerFunction>;
}

/**
 * The routes of functions/: `v1/jobs/[request_id]/index.get.ts` is GET /v1/jobs/{request_id}, `[...path].get.ts` takes the
 * rest of the path. Fixed names come before parameters, so that they win. `_shared/` holds what several endpoints use.
 * @throws Error for a file whose name is no route
 */
export async function readRoutes(): Promise<Route[]> {
  const files = [...(await functionFiles())].sort(([a], [b]) => fixedFirst(a, b));
  return files.map(([file, read]) => {
    let loaded: RunnerFunction | undefined;
    const load = async () => {
      loaded = functionOf(file, await read());
      return loaded;
    };
    return { ...routeOf(file), load: () => loaded ?? load() };
  });
}

function functionOf(file: string, module: { default?: unknown }): RunnerFunction {
  if (isRunnerFunction(module.default)) return module.default;
  throw new Error(`functions/${file} must export defineFunction(...) as its default`);
}

/** The route a file's path spells. */
export function routeOf(file: string): Omit<Route, "load"> {
  const match = /^(.*)\.(\w+)\.ts$/.exec(file);
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
