import { expect, test } from "vitest";
import { jailArguments, splitEnvironment } from "./arguments.ts";

const base = { privileges: "user" as const, mounts: [], cwd: "/w", kernelFiles: ["/proc/sys"] };
const text = (more: Partial<Parameters<typeof jailArguments>[0]>) =>
  jailArguments({ ...base, ...more }).join(" ");

test("processes of its own, everything read-only, no capability", () => {
  expect(text({})).toBe(
    "--unshare-user --unshare-pid --unshare-ipc --die-with-parent --cap-drop ALL --ro-bind / / --dev /dev --proc /proc --chdir /w --",
  );
});

test("root keeps its way with files, and nothing by which it would rule the kernel", () => {
  const root = text({ privileges: "root" });
  expect(root).not.toContain("--unshare-user");
  expect(root).toMatch(
    /--cap-drop ALL --cap-add CAP_CHOWN --cap-add CAP_DAC_OVERRIDE --cap-add CAP_FOWNER --ro-bind \/ \//,
  );
  expect(root).toContain("--proc /proc --ro-bind /proc/sys /proc/sys");
  expect(text({ privileges: "root-in-namespace" })).toContain("--unshare-user");
});

test("parents come before what lies in them, the last word on a place counts, and what is hidden is closed at the end", () => {
  const mounts = [
    { at: "/data/run/workspace", as: "writable", from: "/data/run/workspace" },
    { at: "/data", as: "hidden" },
    { at: "/etc/key", as: "masked" },
    { at: "/data/run/workspace", as: "writable", from: "/elsewhere" },
    { at: "/data/turn", as: "readable", from: "/data/turn" },
  ] as const;
  expect(text({ mounts })).toContain(
    "--tmpfs /data --ro-bind /dev/null /etc/key --ro-bind /data/turn /data/turn --bind /elsewhere /data/run/workspace --remount-ro /data --chdir",
  );
});

test("what the loader obeys is set inside only", () => {
  expect(splitEnvironment({ LD_PRELOAD: "/x", LANG: "C", GLIBC_TUNABLES: "y" })).toEqual({
    outside: { LANG: "C" },
    inside: { LD_PRELOAD: "/x", GLIBC_TUNABLES: "y" },
  });
});
