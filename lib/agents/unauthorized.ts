/** 401 as a status, not as any number: "Read 401 files" says nothing of a login. */
const unauthorized = /(?:status|code|error|HTTP(?:\/[\d.]+)?)\W{0,3}401\b|\bunauthorized\b/i;

/** Whether an error's words tell of HTTP 401. */
export function saysUnauthorized(message: string): boolean {
  return unauthorized.test(message);
}
