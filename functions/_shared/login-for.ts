import { withoutCode } from "../../lib/runs/index.ts";
import { type Caller, isAllowed } from "../../runtime/function.ts";

/**
 * A login as this caller may see it: its page and code are for those who may begin one. Whoever enters the code first binds
 * the CLI of all jobs to an account, which may be their own.
 */
export function loginFor<T extends { auth_url: string | null; user_code: string | null }>(
  caller: Caller,
  login: T,
): T {
  return isAllowed(caller, "admin") ? login : withoutCode(login);
}
