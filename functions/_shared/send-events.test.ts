import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { frame, sendEvents } from "./send-events.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const stallMs = 1_000;

function openStream(next: () => Promise<Uint8Array | null | "end">) {
  const source = { next, close: vi.fn() };
  const reader = sendEvents([], source, { stallMs }).body?.getReader();
  if (reader === undefined) throw new Error("the answer has no body");
  return { source, reader };
}

test("a client that takes nothing although there is something for it is cut off", async () => {
  const { source, reader } = openStream(async () => frame("chat_event", "{}", 1));
  await reader.read();
  await reader.read();
  await vi.advanceTimersByTimeAsync(stallMs - 1);
  expect(source.close).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(source.close).toHaveBeenCalledOnce();
  await expect(reader.read()).rejects.toThrow("takes nothing");
});

test("each event gives a client its time anew, and one that waits for the next is never cut off", async () => {
  const told: (() => void)[] = [];
  const { source, reader } = openStream(
    () => new Promise((resolve) => told.push(() => resolve(frame("chat_event", "{}", 1)))),
  );
  await reader.read();
  for (let events = 0; events < 3; events++) {
    const read = reader.read();
    await vi.advanceTimersByTimeAsync(3 * stallMs);
    told.pop()?.();
    expect((await read).done).toBe(false);
    await vi.advanceTimersByTimeAsync(stallMs - 1);
  }
  expect(source.close).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(source.close).toHaveBeenCalledOnce();
});

test("a source that fails is let go of", async () => {
  const { source, reader } = openStream(() => Promise.reject(new Error("no such disk")));
  await reader.read();
  await expect(reader.read()).rejects.toThrow("no such disk");
  expect(source.close).toHaveBeenCalledOnce();
});

test("a client that does not even take the beginning is cut off", async () => {
  const { source, reader } = openStream(async () => frame("chat_event", "{}", 1));
  await vi.advanceTimersByTimeAsync(stallMs);
  expect(source.close).toHaveBeenCalledOnce();
  await expect(reader.read()).rejects.toThrow("takes nothing");
});
