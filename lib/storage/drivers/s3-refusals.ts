import { S3ServiceException } from "@aws-sdk/client-s3";

/** A refusal of the bucket at the start, in words: the answer to HEAD has no body, and the SDK calls it UnknownError. */
export function whatToCheck(error: unknown, bucket: string): unknown {
  const status = statusOf(error);
  const name = JSON.stringify(bucket);
  const checks = new Map([
    [
      403,
      "the key is wrong, or may not use this bucket. Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or the profile, or the machine's role), and that it is allowed s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject",
    ],
    [404, "there is no such bucket. Make it, or check the bucket's name and the endpoint"],
    [301, "it lies in another region. Add ?region=... to the URL, and check the endpoint"],
    [400, "most likely it lies in another region. Add ?region=... to the URL, and check the endpoint"],
  ]);
  const check = status === undefined ? undefined : checks.get(status);
  if (check === undefined) return error;
  return new Error(`S3 answers ${status} for the bucket ${name}: ${check}`, { cause: error });
}

/** No answer, or one that says to come again. */
export function isPassingInS3(error: unknown): boolean {
  const status = statusOf(error);
  return status === undefined || status >= 500 || [408, 409, 429].includes(status);
}

/** The HTTP status of a refusal; undefined when there was no answer. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

/** How often a request was sent that failed in the end. */
export function attemptsOf(error: unknown): number {
  return error instanceof S3ServiceException ? (error.$metadata.attempts ?? 1) : 1;
}
