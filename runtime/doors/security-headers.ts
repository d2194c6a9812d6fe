/**
 * Headers of every answer, which one of its own may replace (OWASP REST Security Cheat Sheet). What agents write must never run as
 * a page of this server's: a browser that knows a key would lend it to the page.
 */
export const securityHeaders = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
  "cross-origin-resource-policy": "same-origin",
  "x-content-type-options": "nosniff",
} as const;

const lines = Object.entries(securityHeaders);

/** Gives an answer those it has none of its own for. */
export function secured(answer: Response): Response {
  for (const [name, value] of lines) if (!answer.headers.has(name)) answer.headers.set(name, value);
  return answer;
}
