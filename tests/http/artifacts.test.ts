import { readdir, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { answering } from "../stand-in.ts";
import { expectProblem, type HttpServer, startHttp } from "./http-server.ts";

/** Names as agents give them, and what they hold. */
const files: Record<string, string> = {
  "artifacts/report.md": "0123456789",
  "artifacts/deep/er/nested.txt": "nested",
  "artifacts/two words & more.txt": "spaces",
  "artifacts/отчёт 報告 🎉.txt": "unicode",
  "artifacts/100% #1?x=y+z;a,b.txt": "punctuation",
  "artifacts/it's (a) *star*!.txt": "quotes",
  "artifacts/%2e%2e.txt": "looks encoded",
  "artifacts/page.html": "<script>alert(1)</script>",
  "artifacts/picture.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
  "artifacts/no-extension": "plain",
  "artifacts/empty.txt": "",
};
let server: HttpServer;
let id: string;
let workspace: string;
const url = (path: string) => `/v1/jobs/${id}/artifacts/${path}`;
const encoded = (path: string) => path.split("/").map(encodeURIComponent).join("/");
const report = (headers: Record<string, string> = {}) => server.get(url("artifacts/report.md"), headers);

beforeAll(async () => {
  server = await startHttp({
    scenario: [{ lines: answering({ ok: true, report: "artifacts/report.md" }), files }],
  });
  id = await server.done({ skill_id: "s" });
  workspace = join(server.harness.config.dataDir, (await server.get(`/v1/jobs/${id}`)).body.workspaceDir);
});
beforeEach(() => writeFile(join(workspace, "artifacts/report.md"), "0123456789"));
afterAll(() => server.close());

describe("an artifact", () => {
  test("is in the list, and every listed one can be had whole", async () => {
    const { body } = await server.get(`/v1/jobs/${id}/artifacts`);
    expect(body.artifacts).toEqual(Object.keys(files).sort());
    expect(body.artifact_details).toContainEqual({ path: "artifacts/report.md", role: "report", bytes: 10 });
    for (const path of body.artifacts) {
      const answer = await server.get(url(encoded(path)));
      expect([answer.status, answer.bytes.toString()], path).toEqual([200, files[path]]);
      expect(Number(answer.headers["content-length"])).toBe(answer.bytes.length);
    }
  });

  test.each(Object.keys(files))("%s is a download that no browser runs", async (path) => {
    const { headers } = await server.get(url(encoded(path)));
    expect(headers).toMatchObject({
      "x-content-type-options": "nosniff",
      "content-security-policy": "sandbox; default-src 'none'",
      "accept-ranges": "bytes",
      "cache-control": "private, no-cache",
    });
    const name = /^attachment; filename\*=UTF-8''(.+)$/.exec(String(headers["content-disposition"]))?.[1];
    expect(`artifacts/${decodeURIComponent(name ?? "")}`.split("/").at(-1)).toBe(path.split("/").at(-1));
  });

  test("HEAD tells everything but the content", async () => {
    const [head, get] = [await server.send("HEAD", url("artifacts/report.md")), await report()];
    expect(head.bytes).toHaveLength(0);
    for (const name of ["content-length", "content-type", "etag", "last-modified", "accept-ranges"])
      expect(head.headers[name], name).toBe(get.headers[name]);
  });

  test.each([
    ["bytes=0-3", "0123", "bytes 0-3/10"],
    ["bytes=4-4", "4", "bytes 4-4/10"],
    ["bytes=-3", "789", "bytes 7-9/10"],
    ["bytes=7-", "789", "bytes 7-9/10"],
    ["bytes=5-99", "56789", "bytes 5-9/10"],
  ])("is sent in part for Range: %s", async (range, part, contentRange) => {
    const answer = await report({ range });
    expect([answer.status, answer.bytes.toString()]).toEqual([206, part]);
    expect(answer.headers).toMatchObject({
      "content-range": contentRange,
      "content-length": String(part.length),
    });
    const head = await server.send("HEAD", url("artifacts/report.md"), { headers: { range } });
    expect(head.bytes).toHaveLength(0);
  });

  test.each(["bytes=10-", "bytes=99-100"])("cannot be had for Range: %s", async (range) => {
    const refused = await report({ range });
    expectProblem(refused, 416, "RANGE_NOT_SATISFIABLE");
    expect(refused.headers["content-range"]).toMatch(/^bytes \*\/\d+$/);
  });

  test.each(["bytes", "bytes=", "bytes=a-b", "lines=0-3", "bytes=0-1,4-5", "0-3", "bytes=-"])(
    "is sent whole for Range: %s",
    async (range) => {
      const answer = await report({ range });
      expect([answer.status, answer.bytes.toString()]).toEqual([200, "0123456789"]);
    },
  );

  test("has an entity tag that stays while it stays, and spares what is known", async () => {
    const etag = String((await report()).headers.etag);
    expect((await report()).headers.etag).toBe(etag);
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
      const answer = await report({ "if-none-match": known });
      expect([answer.status, answer.bytes.length], known).toEqual([304, 0]);
      expect(answer.headers.etag).toBe(etag);
    }
    expect((await report({ "if-none-match": '"other"' })).status).toBe(200);
    expect((await report({ range: "bytes=0-3", "if-range": etag })).status).toBe(206);

    await writeFile(join(workspace, "artifacts/report.md"), "abcdefghij");
    const changed = await report({ "if-none-match": etag });
    expect([changed.status, changed.bytes.toString()]).toEqual([200, "abcdefghij"]);
    expect(changed.headers.etag).not.toBe(etag);
    const resumed = await report({ range: "bytes=4-", "if-range": etag });
    expect([resumed.status, resumed.bytes.toString()]).toEqual([200, "abcdefghij"]);
  });
});

describe("what is no artifact is not served:", () => {
  test.each([
    "SKILL.md",
    ".agents/skills/s/SKILL.md",
    ".git/HEAD",
    "artifacts",
    "artifacts/deep",
    "artifacts/none.md",
    "ARTIFACTS/report.md",
    "..%2f..%2fresult%2fresult.json",
    "artifacts/..%2f..%2f..%2fresult%2fresult.json",
    "artifacts%2f..%2fartifacts%2freport.md",
    "%2e%2e/%2e%2e/result/result.json",
    "../../result/result.json",
    "../../../../../../../../../../etc/passwd",
    "%2fetc%2fpasswd",
    "/etc/passwd",
    "//etc/passwd",
    "..%5c..%5cresult",
    "artifacts%5creport.md",
    "artifacts/report.md%00",
    "artifacts/report.md%00.txt",
    "artifacts/./report.md%2f",
    "artifacts//report.md",
    "artifacts/report.md/",
    "..%252f..%252fresult%252fresult.json",
    "%c0%ae%c0%ae/etc/passwd",
  ])("%s", async (path) => {
    const answer = await server.get(url(path));
    expect([400, 404]).toContain(answer.status);
    expect(["PATH_INVALID", "ARTIFACT_NOT_FOUND", "ROUTE_NOT_FOUND"]).toContain(answer.body.code);
    expect(answer.headers["content-type"]).toBe("application/problem+json");
  });

  test.each(["/etc/passwd", "../../result/result.json", ".."])(
    "a link to %s in its place",
    async (target) => {
      const path = join(workspace, "artifacts/report.md");
      await rm(path);
      await symlink(target, path);
      expectProblem(await report(), 404, "ARTIFACT_NOT_FOUND");
      // The zip breaks off: its stream has begun before the link is found.
      const told = vi.spyOn(console, "error").mockReturnValue();
      await expect(server.get(`/v1/jobs/${id}/bundle`)).rejects.toThrow("aborted");
      told.mockRestore();
      await rm(path);
    },
  );

  test("one that is gone", async () => {
    await rm(join(workspace, "artifacts/report.md"));
    expectProblem(await report(), 404, "ARTIFACT_NOT_FOUND");
  });
});

test("before the end of a job there are none to be had", async () => {
  const waiting = await server.job({ skill_id: "report-from-file" });
  for (const path of ["artifacts", "artifacts/artifacts/report.md"])
    expectProblem(await server.get(`/v1/jobs/${waiting}/${path}`), 409, "RESULT_NOT_READY");
});

test("no request leaves a file open", async () => {
  const openFiles = async () => {
    const links = await readdir("/proc/self/fd");
    const targets = await Promise.all(links.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
    const folders = [
      server.harness.folder,
      dirname(import.meta.resolve("swagger-ui-dist/package.json").slice(7)),
    ];
    return targets.filter((target) => folders.some((folder) => target.startsWith(folder)));
  };
  const paths = [
    url("artifacts/report.md"),
    `/v1/jobs/${id}/bundle`,
    `/v1/jobs/${id}/bundle/debug`,
    "/docs/assets/swagger-ui-bundle.js",
  ];
  for (const path of paths) for (let n = 0; n < 5; n++) await server.send("HEAD", path);
  for (let n = 0; n < 5; n++) await report({ "if-none-match": "*" });
  await vi.waitFor(async () => expect(await openFiles()).toEqual([]));
});
