// How tests are run. Integration files start real servers and mostly wait for time to pass: three at a time fit on two
// cores. Setting up may have to build the tools first.

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/e2e/**'],
    testTimeout: 120_000,
    hookTimeout: 900_000,
    pool: 'forks',
    maxWorkers: 3,
    reporters: ['default'],
  },
});
