import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { plainPackage } from "../harness.ts";
import { answering } from "../stand-in.ts";
import { expectProblem, type HttpServer, startHttp } from "./http-server.ts";

const total = 45;
let server: HttpServer;
/** Newest first. */
const made: string[] = [];
beforeAll(async () => {
  server = await startHttp({ scenario: [{ lines: answering({ ok: true }) }] });
  await server.harness.writeSkill("other", plainPackage("other"));
  // Jobs that wait for their files cost no agent; one that ran is among them.
  for (let n = 0; n < total; n++) {
    const id = n === 20 ? await server.done({ skill_id: "other" }) : await waiting();
    made.unshift(id);
  }
});
afterAll(() => server.close());

const waiting = () => server.job({ skill_id: "report-from-file" });

interface Page {
  jobs: { request_id: string; created_at: string }[];
  next_cursor: string | null;
}

async function allPages(query: string, between: () => Promise<unknown> = async () => {}): Promise<Page[]> {
  const pages: Page[] = [];
  let cursor: string | null = null;
  do {
    const answer = await server.get(`/v1/jobs?${query}${cursor === null ? "" : `&cursor=${cursor}`}`);
    expect(answer.status).toBe(200);
    pages.push(answer.body);
    cursor = answer.body.next_cursor;
    await between();
  } while (cursor !== null);
  return pages;
}

const idsOf = (pages: Page[]) => pages.flatMap((page) => page.jobs.map((job) => job.request_id));

describe("GET /v1/jobs", () => {
  test.each([1, 7, 20, 45, 200])("in pages of %i has every job once, newest first", async (limit) => {
    const pages = await allPages(`limit=${limit}`);
    expect(new Set(idsOf(pages))).toEqual(new Set(made));
    expect(idsOf(pages)).toHaveLength(total);
    expect(idsOf(pages)).toEqual([...made].sort().reverse());
    const times = pages.flatMap((page) => page.jobs.map((job) => job.created_at));
    expect(times).toEqual([...times].sort().reverse());
    expect(Math.max(...pages.map((page) => page.jobs.length))).toBeLessThanOrEqual(limit);
  });

  test("has 20 a page unless told otherwise", async () => {
    expect((await server.get("/v1/jobs")).body.jobs).toHaveLength(20);
  });

  test("is not disturbed by jobs that come between its pages", async () => {
    const newer: string[] = [];
    const pages = await allPages("limit=10", async () => newer.push(await waiting()));
    expect(idsOf(pages)).toEqual([...made].sort().reverse());
    for (const id of newer) await server.send("DELETE", `/v1/jobs/${id}`);
  });

  test("is not disturbed by the deletion of the job its cursor was made from", async () => {
    const extra = await waiting();
    const first = (await server.get("/v1/jobs?limit=1")).body;
    expect(first.jobs[0].request_id).toBe(extra);
    await server.send("DELETE", `/v1/jobs/${extra}`);
    const second = (await server.get(`/v1/jobs?limit=200&cursor=${first.next_cursor}`)).body;
    expect(second.jobs).toHaveLength(total);
  });

  test.each([
    ["status=created", total - 1],
    ["status=succeeded", 1],
    ["status=failed", 0],
    ["skill_id=other", 1],
    ["skill_id=report-from-file", total - 1],
    ["skill_id=none", 0],
    ["engine=codex", total],
    ["engine=hal", 0],
    ["status=succeeded&skill_id=other&engine=codex", 1],
    ["status=succeeded&skill_id=report-from-file", 0],
  ])("filters by %s", async (query, count) => {
    expect(idsOf(await allPages(`limit=6&${query}`))).toHaveLength(count);
  });

  test.each([
    ["limit=0", 422, "REQUEST_INVALID", ["/query/limit"]],
    ["limit=201", 422, "REQUEST_INVALID", ["/query/limit"]],
    ["limit=-1", 422, "REQUEST_INVALID", ["/query/limit"]],
    ["limit=1.5", 422, "REQUEST_INVALID", ["/query/limit"]],
    ["limit=ten", 422, "REQUEST_INVALID", ["/query/limit"]],
    ["limit=", 422, "REQUEST_INVALID", ["/query/limit"]],
    ["status=done", 422, "REQUEST_INVALID", ["/query/status"]],
    ["page=2", 422, "REQUEST_INVALID", ["/query/page"]],
    ["a%2Fb=2", 422, "REQUEST_INVALID", ["/query/a~1b"]],
    ["__proto__=2", 422, "REQUEST_INVALID", ["/query/__proto__"]],
    ["cursor=", 400, "CURSOR_INVALID", []],
    ["cursor=nonsense", 400, "CURSOR_INVALID", []],
    [`cursor=${Buffer.from("before:../../x").toString("base64url")}`, 400, "CURSOR_INVALID", []],
    [`cursor=${"A".repeat(201)}`, 422, "REQUEST_INVALID", ["/query/cursor"]],
  ])("refuses %s", async (query, status, code, pointers) => {
    expectProblem(await server.get(`/v1/jobs?${query}`), status, code, pointers);
  });

  test("of a cursor that is older than everything is empty", async () => {
    const cursor = Buffer.from(`before:${"0".repeat(26)}`).toString("base64url");
    expect((await server.get(`/v1/jobs?cursor=${cursor}`)).body).toEqual({ jobs: [], next_cursor: null });
  });
});
