import { RunnerError } from "../errors.ts";

/** A model's name may not start with "-" (it would be read as an option) and has no white space. */
const modelName = /^[A-Za-z0-9][\w.:/+-]{0,199}$/;

interface RequestedModel {
  model: string | null;
  provider_id: string | null;
  effort: string | null;
}

/**
 * Reads the model of a request, also in the older spellings `provider/model@effort`, `provider/model`, `model@effort`.
 * The effort "default" means the CLI's own.
 * @throws RunnerError MODEL_INVALID
 */
export function parseModel(request: RequestedModel, efforts: readonly string[]): RequestedModel {
  const [name, spelledEffort] = splitLast(request.model);
  const effort = request.effort ?? spelledEffort;
  const provider = request.provider_id;
  if (name !== null && !modelName.test(name)) {
    throw invalid("/model", `"${name.slice(0, 80)}" is no model name`);
  }
  if (provider !== null && !modelName.test(provider)) throw invalid("/provider_id", "is no provider name");
  if (effort !== null && effort !== "default" && !efforts.includes(effort)) {
    throw invalid("/effort", `must be one of: default, ${efforts.join(", ")}`);
  }
  return { model: name, provider_id: provider, effort: effort === "default" ? null : effort };
}

function splitLast(model: string | null): [string | null, string | null] {
  if (model === null) return [null, null];
  const at = model.lastIndexOf("@");
  return at < 0 ? [model, null] : [model.slice(0, at), model.slice(at + 1)];
}

function invalid(pointer: string, message: string): RunnerError {
  return new RunnerError("MODEL_INVALID", `${pointer.slice(1)} ${message}.`, {
    issues: [{ pointer, message }],
  });
}
