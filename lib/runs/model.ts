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
 * A request that names its provider may have a "/" in the model's own name. The effort "default" means the CLI's own.
 * @throws RunnerError MODEL_INVALID
 */
export function parseModel(request: RequestedModel, efforts: readonly string[]): RequestedModel {
  const [spelled, spelledEffort] = splitAt(request.model, request.model?.lastIndexOf("@") ?? -1);
  const slash = request.provider_id === null ? (spelled?.indexOf("/") ?? -1) : -1;
  const [first, rest] = splitAt(spelled, slash);
  const provider = rest === null ? request.provider_id : first;
  const model = rest ?? first;
  const effort = request.effort ?? spelledEffort;
  if (model !== null && !modelName.test(model))
    throw invalid("/model", `"${model.slice(0, 80)}" is no model name`);
  if (provider !== null && !modelName.test(provider)) {
    throw invalid(
      rest === null ? "/provider_id" : "/model",
      `"${provider.slice(0, 80)}" is no provider name`,
    );
  }
  if (effort !== null && effort !== "default" && !efforts.includes(effort)) {
    throw invalid("/effort", `must be one of: default, ${efforts.join(", ")}`);
  }
  return { model, provider_id: provider, effort: effort === "default" ? null : effort };
}

function splitAt(text: string | null, at: number): [string | null, string | null] {
  return text === null || at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
}

function invalid(pointer: string, message: string): RunnerError {
  return new RunnerError("MODEL_INVALID", `${pointer.slice(1)}: ${message}.`, {
    issues: [{ pointer, message }],
  });
}
