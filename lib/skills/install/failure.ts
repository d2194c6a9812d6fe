import { RunnerError } from "../../errors.ts";
import { asStorageFailure } from "../storage-failure.ts";
import type { SkillInstall } from "./record.ts";

/** What a record says of an error. What is no RunnerError tells nothing: its text may hold paths. */
export function failureOf(error: unknown): NonNullable<SkillInstall["error"]> {
  const told = asStorageFailure(error, "The package could not be installed");
  if (!(told instanceof RunnerError)) {
    return { code: "INTERNAL", message: "The server failed. Its log says why." };
  }
  const { code, message, issues } = told;
  return { code, message, ...(issues.length === 0 ? {} : { issues: issues.map((issue) => ({ ...issue })) }) };
}

/** Of an install that a stop or crash of the server cut short. */
export const interrupted: NonNullable<SkillInstall["error"]> = {
  code: "ORCHESTRATOR_RESTART_INTERRUPTED",
  message:
    "The server stopped before it was done. What was in place before is untouched; send the package again.",
};
