/**
 * Headers of every answer, which one of its own may replace (OWASP REST Security Cheat Sheet). What agents write must never run as
 * a page of this server's: a browser that knows a key would lend it to the page.
 */
export const securityHeaders: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};
