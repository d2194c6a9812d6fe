import { expect, test } from "vitest";
import { lockDataDir } from "./data-dir-lock.ts";

// sysfs lets nobody make a socket; only root is told so (EPERM) and not merely kept out.
test.skipIf(process.platform !== "linux" || process.getuid?.() !== 0)(
  "a data folder that knows no sockets is held all the same, with a warning",
  async () => {
    const warnings: string[] = [];
    const warn = (message: string) => void warnings.push(message);
    const unlock = await lockDataDir("/sys", warn);
    expect(warnings).toEqual([expect.stringContaining("knows no sockets")]);
    await expect(lockDataDir("/sys", warn)).rejects.toThrow("Another server is at work in /sys");
    await unlock();
    await (await lockDataDir("/sys", warn))();
  },
);
