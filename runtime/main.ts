import { resolve } from "node:path";
import type { Logger } from "pino";
import { type Config, readConfig } from "./config.ts";
import { nameInUrl } from "./doors/addresses.ts";
import { openDoors } from "./doors/index.ts";
import { createLog } from "./log.ts";
import { createEarlyRouter, createRouter } from "./router.ts";
import { type Route, readRoutes } from "./routes.ts";
import { type ListeningServer, listen } from "./server.ts";
import { createServices, type RunningServices } from "./services.ts";

/** Milliseconds open connections get to end by themselves. */
const connectionGraceMs = 2_000;
const warmUpDelayMs = 500;

/** config -> services -> app -> listen -> signals. */
async function main(config: Config): Promise<void> {
  const log = createLog(config.logLevel);
  // Node's own words would show all that a library hung on the error.
  process.on("uncaughtException", (error) => {
    log.fatal({ err: error }, "the server failed, and ends");
    process.exit(1);
  });
  const routes = await readRoutes();
  const doors = await openDoors(config);
  const services = await createServices({
    config,
    environment: process.env,
    log,
    // Loaded when first asked for: most processes never are.
    openApiDocument: async () => (await import("./openapi.ts")).describeApi(routes),
  });
  let server: ListeningServer | undefined;
  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, "stopping: no new jobs are taken");
    try {
      await services.stop();
      await server?.close(connectionGraceMs);
      log.info({}, "stopped");
      process.exit(0);
    } catch (error) {
      log.error({ err: error }, "the server could not stop as it should");
      process.exit(1);
    }
  };
  // Before anything is started: what the last process left is taken up at once, and must be let go of in order.
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);

  // The port first: a server that cannot have it must not have started any agent.
  const parts = { routes, services, doors, log };
  const whole = createRouter(parts);
  let app = createEarlyRouter(parts);
  server = await listen((request, env) => app.fetch(request, env), config);
  await services.start();
  if (stopping) return;
  app = whole;
  const { words, isWarning } = doors.describe();
  if (isWarning) log.warn({ published_at: config.doors.publishedAt }, words);
  log.info(
    {
      url: `${urlOf(config.host, server.port)}/v1`,
      data: config.dataDir,
      skills: config.skillsDir,
      doors: words,
      ...services.capacity.gate.snapshot(),
    },
    "skill-runner is ready",
  );
  setTimeout(() => void warmUp(routes, services, log), warmUpDelayMs).unref();
}

/** Where the server is reached from this machine. */
function urlOf(host: string, port: number): string {
  const isAny = host === "0.0.0.0" || host === "::";
  return `http://${isAny ? "127.0.0.1" : nameInUrl(host)}:${port}`;
}

/** What nobody waits for: the engines' state for the operator, and the functions nobody has called yet. */
async function warmUp(routes: readonly Route[], services: RunningServices, log: Logger): Promise<void> {
  await reportEngines(services, log).catch((error: unknown) =>
    log.warn({ err: error }, "the engines could not be asked"),
  );
  await Promise.allSettled(routes.map((route) => route.load()));
}

/** Says once what the operator would otherwise learn from the first failed job. */
async function reportEngines(services: RunningServices, log: Logger): Promise<void> {
  const jail = await services.engines.jail();
  const isWanted = jail.setting === "required" && !jail.works;
  if (isWanted) log.error(jail, "no job can run: the sandbox is required, and does not work here");
  else if (jail.setting === "auto" && !jail.works) log.warn(jail, "agents run without the runner's sandbox");
  else log.info(jail, jail.works ? "agents run in a sandbox" : "agents run without the runner's sandbox");
  for (const {
    engine,
    present,
    cli_version_detected: version,
    sandbox,
    auth_ready,
    how_to_install,
  } of await services.checkEngines()) {
    const state = { engine, version, sandbox, auth_ready };
    if (!present) log.warn(state, `not installed. ${how_to_install}`);
    else if (sandbox === "unavailable" && !isWanted)
      log.warn(state, "installed, but its sandbox does not work here: its tools run without");
    else log.info(state, auth_ready ? "installed" : "installed; no key and no login found");
  }
}

try {
  await main(readConfig(process.env, resolve(process.cwd())));
} catch (error) {
  console.error(explain(error));
  process.exit(1);
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ("code" in error && error.code === "EADDRINUSE") return `${error.message}. Set PORT to a free one.`;
  return "code" in error ||
    /^(These environment|Another server|The storage|The file of ACP agents)/.test(error.message)
    ? error.message
    : (error.stack ?? error.message);
}
