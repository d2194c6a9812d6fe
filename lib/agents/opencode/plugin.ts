/** What opencode needs only while it starts; the plugin takes it out before any tool can inherit it. */
export const startOnlyEnvironment: Readonly<Record<string, string>> = {
  // opencode installs its plugin SDK (60 MB) into the user's config folder otherwise, and waits for it.
  npm_config_offline: "true",
  // A repository the workspace happens to lie in would become the project, and a file be written into its .git.
  GIT_DIR: "/nonexistent",
};

/** Retries opencode may make before it is ended; by itself it goes on for over a minute, and says nothing. */
const maxRetries = 3;
/** Longest a retry may be put off (a `retry-after` header can ask for hours), in milliseconds. */
const maxRetryDelayMs = 60_000;

/**
 * The text of an opencode plugin (https://opencode.ai/docs/plugins) that prints what `run --format json` leaves out, as
 * further JSON lines: `tool_start`, `retry` and, when it has seen enough retries and ends the turn, `gave_up`. A subagent
 * is ended as well, but not the turn.
 * @param hidden variables the agent's tools are not to see
 */
export function pluginSource(hidden: readonly string[]): string {
  return `// Written for one turn of a run; see lib/agents/opencode/plugin.ts.
export const SkillRunner = async ({ client }) => {
  for (const name of ${JSON.stringify(Object.keys(startOnlyEnvironment))}) delete process.env[name];
  const subagents = new Set();
  const started = new Set();
  const tell = (type, sessionID, more) =>
    process.stdout.write(JSON.stringify({ type, timestamp: Date.now(), sessionID, ...more }) + "\\n");
  return {
    "shell.env": async (_input, output) => {
      for (const name of ${JSON.stringify(hidden)}) output.env[name] = undefined;
    },
    event: async ({ event: { type, properties: { info, part, status, sessionID } = {} } }) => {
      if (/^session\\.(created|updated)$/.test(type) && info?.parentID) subagents.add(info.id);
      if (type === "message.part.updated" && part?.type === "tool" && part.state?.status === "running") {
        if (subagents.has(part.sessionID) || started.has(part.callID)) return;
        started.add(part.callID);
        tell("tool_start", part.sessionID, { part });
      }
      if (type === "session.status" && status?.type === "retry") {
        const hopeless = status.attempt > ${maxRetries} || status.next - Date.now() > ${maxRetryDelayMs};
        // The parent of a subagent that ends goes on, and may well answer.
        const ends = hopeless && !subagents.has(sessionID);
        tell(ends ? "gave_up" : "retry", sessionID, { attempt: status.attempt, message: status.message });
        if (hopeless) await client.session.abort({ path: { id: sessionID } });
      }
    },
  };
};
`;
}
