import { z } from "zod";

export const loginMethodName = z.enum(["device_code", "import_files", "api_key", "terminal"]);

/** One way to log an agent in, and what a person has to do for it. */
export const loginMethod = z.object({
  method: loginMethodName,
  challenge_kind: loginMethodName,
  title: z.string(),
  instructions: z.string(),
  files: z.array(z.object({ name: z.string(), path: z.string(), required: z.boolean() })).optional(),
  variables: z.array(z.string()).optional(),
  command: z.string().optional(),
});

/** What a run whose agent is not logged in waits for. */
export const pendingAuth = z.object({
  auth_session_id: z.string(),
  engine: z.string(),
  provider_id: z.string().nullable(),
  phase: z.enum(["method_selection", "challenge_active"]),
  available_methods: z.array(loginMethod),
  auth_method: loginMethodName.nullable().describe("The method that was selected."),
  challenge_kind: loginMethodName.nullable(),
  prompt: z.string(),
  instructions: z.string(),
  auth_url: z.string().nullable(),
  user_code: z.string().nullable(),
  accepts_chat_input: z.boolean(),
  input_kind: z.enum(["api_key", "files"]).nullable(),
  last_error: z.string().nullable(),
  source_attempt: z.int(),
  timeout_sec: z.int(),
  created_at: z.string(),
  expires_at: z.string(),
});
export type PendingAuth = z.infer<typeof pendingAuth>;

/** A login without what would let whoever reads it complete it, with an account of their own. */
export function withoutCode<T extends Pick<PendingAuth, "auth_url" | "user_code">>(login: T): T {
  return { ...login, auth_url: null, user_code: null };
}

/** A login as events tell of it: every key that may read sees them. */
export const loginNews = pendingAuth.extend({
  auth_url: z
    .null()
    .describe("Not told: GET /v1/jobs/{request_id}/auth/session shows it to keys with scope admin."),
  user_code: z.null().describe("Not told, as `auth_url`."),
  has_code: z.boolean().describe("The page and the code of a login by device code are there."),
});

export function newsOf(login: PendingAuth): z.infer<typeof loginNews> {
  return { ...login, auth_url: null, user_code: null, has_code: login.user_code !== null };
}

/** A login for which nothing is selected any more, as what was selected came to nothing. */
export function unselected(auth: PendingAuth, last_error: string): PendingAuth {
  return {
    ...auth,
    phase: "method_selection",
    auth_method: null,
    challenge_kind: null,
    auth_url: null,
    user_code: null,
    instructions: howToLogIn(auth.available_methods),
    ...takenInput(auth.available_methods),
    last_error,
  };
}

/** What may be sent right away, before a way is selected. */
export function takenInput(methods: readonly z.infer<typeof loginMethod>[]) {
  const takesKey = methods.some(({ method }) => method === "api_key");
  return { accepts_chat_input: takesKey, input_kind: takesKey ? ("api_key" as const) : null };
}

/** All ways to log in, for people. */
export function howToLogIn(methods: readonly z.infer<typeof loginMethod>[]): string {
  return methods.map(({ title, instructions }) => `${title}: ${instructions}`).join("\n");
}
