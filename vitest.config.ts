import { defineConfig } from "vitest/config";

/**
 * `unit` needs nothing but node_modules. `real` drives the real agent CLIs, which scripts/real-clis.mjs installs; CI
 * runs it as a step of its own, so that it can never be skipped unseen. `crash` kills servers by the hundred. `container`
 * builds the image and runs it with buildah and podman.
 */
const exclude = ["**/node_modules/**", "dist/**", "data/**"];

/** What kills and installs by the hundred, left out with UNIT_ONCE=1: CI runs it on one version of Node, not on both. */
const onceOnly = [
  ...["tests/skill-installs/crash.test.ts", "tests/unlucky-moments.test.ts", "tests/broken-cli.test.ts"],
  ...["tests/agent-manager.test.ts", "lib/agents/manager/install.test.ts", "tests/state-machine/**"],
];

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    globalSetup: "tests/build-first.ts",
    // Vitest would leave one core to a watcher: on two cores that is half of them. Crashes and containers go file by file.
    maxWorkers: "100%",
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["**/*.test.ts"],
          exclude: [
            ...exclude,
            "tests/real/**",
            "tests/crash/**",
            "tests/container/**",
            "tests/fuzz/**",
            "tests/storage/**",
            ...(process.env.UNIT_ONCE === "1" ? onceOnly : []),
          ],
        },
      },
      {
        extends: true,
        test: { name: "real", include: ["tests/real/**/*.test.ts"], exclude, testTimeout: 180_000 },
      },
      {
        extends: true,
        test: { name: "crash", include: ["tests/crash/**/*.test.ts"], exclude, testTimeout: 300_000 },
      },
      {
        extends: true,
        test: { name: "fuzz", include: ["tests/fuzz/**/*.test.ts"], exclude, testTimeout: 600_000 },
      },
      {
        extends: true,
        test: { name: "storage", include: ["tests/storage/**/*.test.ts"], exclude, testTimeout: 120_000 },
      },
      {
        extends: true,
        test: { name: "container", include: ["tests/container/**/*.test.ts"], exclude, testTimeout: 120_000 },
      },
    ],
  },
});
