import { expect, test } from "vitest";
import { asked, explainAcpStderr } from "./failures.ts";

test.each([
  ["HTTP 401 from the endpoint", "auth"],
  ["Request failed with status code 401", "auth"],
  ["Unauthorized", "auth"],
  ["the patch touches line 401 of the file", "model"],
])("a request's error: %s", async (message, kind) => {
  const failed = asked(Promise.reject({ code: -32603, message }), "model");
  await expect(failed).rejects.toMatchObject({ kind, message });
});

test("a number in a line of stderr is no reason; a status is", () => {
  expect(explainAcpStderr("listening, pid 401\nindexed 401 files\n")).toBeNull();
  expect(explainAcpStderr("indexed 401 files\nGET /v1: HTTP/1.1 401\n")).toEqual({
    type: "failure",
    kind: "auth",
    message: "GET /v1: HTTP/1.1 401",
  });
});
