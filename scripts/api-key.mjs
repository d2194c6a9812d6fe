#!/usr/bin/env node
// Makes an API key: prints it once, with the entry for SKILL_RUNNER_API_KEYS that lets it in. The entry does not tell the key.
import { createHash, randomBytes } from "node:crypto";

const scopes = ["read", "run", "admin"];
const [name, scope = "run", ...rest] = process.argv.slice(2);
if (name === undefined || !/^[\w.-]{1,64}$/.test(name) || !scopes.includes(scope) || rest.length > 0) {
  console.error(
    `Usage: node scripts/api-key.mjs NAME [SCOPE]

  NAME   letters, digits, ".", "_" and "-": whose key it is
  SCOPE  read   look at jobs, results, skills and engines
         run    send, answer, cancel and delete jobs too (default)
         admin  install skills and agent CLIs, import logins, clean up too`,
  );
  process.exit(1);
}
const key = `sr_${randomBytes(32).toString("base64url")}`;
const hash = createHash("sha256").update(key).digest("hex");
console.log(`key, for "${name}" (shown once):  ${key}`);
console.log(`entry for SKILL_RUNNER_API_KEYS:  ${name}:${scope}:${hash}`);
