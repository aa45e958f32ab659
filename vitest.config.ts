// How tests are run. Integration files start real servers and mostly wait for time to pass: four at a time fit on two
// cores. Setting up may have to build the tools first.

import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Integration files that go on for a minute and more, in this order and before all others: begun last, they would go on
 * alone for minutes. Of leadership, outages and static-stability, with a thousand pods each, no three are side by side.
 */
const LONGEST = [
  'leadership',
  'coexistence',
  'reflector',
  'status',
  'outages',
  'nodes',
  'layouts',
  'static-stability',
  'limits',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => placeOf(a) - placeOf(b));
  }
}

const placeOf = ({ moduleId }: TestSpecification): number => {
  const place = LONGEST.findIndex(
    (name) => moduleId.endsWith(`/${name}.test.ts`) && moduleId.includes('/integration/'),
  );
  return place === -1 ? LONGEST.length : place;
};

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/e2e/**'],
    testTimeout: 120_000,
    hookTimeout: 900_000,
    pool: 'forks',
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    reporters: ['default'],
  },
});
