import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** Some tests start the built server: it must be built from the source under test. */
export default function buildFirst(): void {
  execFileSync(process.execPath, [join(import.meta.dirname, "../scripts/ensure.mjs"), "--build"], {
    stdio: "inherit",
  });
}
