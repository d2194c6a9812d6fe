/** What Node and the drivers say of an error in one word or number. */
const told = [
  "code",
  "errno",
  "syscall",
  "path",
  "dest",
  "address",
  "port",
  "hostname",
  "status",
  "statusCode",
  "httpStatusCode",
  "requestId",
  "severity",
];
const deepest = 5;

type Description = string | Record<string, unknown>;

/**
 * An error as the log may show it: type, message, stack, and what `told` names; errors inside it (causes, those of an
 * AggregateError) likewise. It is an allow list, since libraries hang what they worked with on their errors: ioredis the
 * arguments of AUTH, pg its client, the AWS SDK the whole answer, Node the text that was no URL.
 */
export function describeError(error: unknown): Description {
  return describe(error, 0);
}

function describe(error: unknown, depth: number): Description {
  // Whatever else is thrown may be anything.
  if (typeof error === "string") return error;
  if (!isError(error)) return `something thrown that is no Error (${typeof error})`;
  const description: Record<string, unknown> = {
    type: error.name === "Error" ? error.constructor.name : error.name,
    message: error.message,
    stack: error.stack,
    ...scalarsOf(error),
  };
  if (depth === deepest) return description;
  for (const [name, value] of [...Object.entries(error), ["cause", error.cause] as const]) {
    // Of the AWS SDK.
    if (name === "$metadata") Object.assign(description, scalarsOf(value));
    else if (isError(value)) description[name] = describe(value, depth + 1);
  }
  if ("errors" in error && Array.isArray(error.errors))
    description.aggregateErrors = error.errors.filter(isError).map((each) => describe(each, depth + 1));
  return description;
}

function scalarsOf(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).filter(
      ([name, each]) => told.includes(name) && ["string", "number"].includes(typeof each),
    ),
  );
}

/** Also one of another realm. */
function isError(value: unknown): value is Error {
  return value instanceof Error || Object.prototype.toString.call(value) === "[object Error]";
}
