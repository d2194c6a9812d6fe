import type { Runs } from "../../lib/runs/index.ts";
import type { Caller } from "../../runtime/function.ts";
import { loginFor } from "./login-for.ts";

/** Longest a caller may wait for a job's end in one request, in seconds. */
const mostSeconds = 600;

/**
 * Answers a request that made a job, at once or, when it says `Prefer: wait=N` (RFC 7240, section 4.3), when the job has
 * ended or asks something: then with its result or question, else after N seconds with 202. A caller who goes away
 * leaves the job as it is.
 * @param accepted what is answered at once
 */
export async function answerJob(
  request: Request,
  runs: Runs,
  accepted: { request_id: string },
  caller: Caller,
): Promise<Response> {
  const wanted = waitSeconds(request.headers.get("prefer"));
  if (wanted === null) return Response.json(accepted);
  const seconds = Math.min(wanted, mostSeconds);
  const job = await runs.settled(accepted.request_id, seconds * 1000, request.signal);
  const over = job.status !== "queued" && job.status !== "running";
  return Response.json(
    {
      ...accepted,
      ...job,
      ...(job.pending_auth === undefined ? {} : { pending_auth: loginFor(caller, job.pending_auth) }),
    },
    {
      status: over ? 200 : 202,
      headers: {
        "preference-applied": `wait=${seconds}`,
        ...(over ? {} : { location: `/v1/jobs/${accepted.request_id}` }),
      },
    },
  );
}

/** The seconds of a `Prefer` header, or null: what cannot be read is no preference (RFC 7240, section 2). */
function waitSeconds(header: string | null): number | null {
  for (const preference of (header ?? "").split(",")) {
    // What follows a semicolon are parameters of the preference, no preferences.
    const [named = ""] = preference.split(";");
    const seconds = /^\s*wait\s*=\s*"?(\d{1,9})"?\s*$/i.exec(named)?.[1];
    if (seconds !== undefined) return Number(seconds);
  }
  return null;
}
