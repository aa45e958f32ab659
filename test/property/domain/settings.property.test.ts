// Layers of settings: whatever they say, each field is the nearest one's word, and what comes out can be written.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readNamespaceDefaults } from '../../../src/domain/namespace-defaults.ts';
import { overlaid, resolveSettings } from '../../../src/domain/settings.ts';
import { someDefaults } from '../../support/builders.ts';

const outageMode = fc.constantFrom('Hold' as const, 'Probe' as const, 'Lapse' as const);
const word = fc.constantFrom('a', 'b', 'c');

/** A layer that is right by itself. */
const layer = fc
  .record(
    {
      ttlSeconds: fc.integer({ min: 3, max: 3_600 }),
      refreshIntervalSeconds: fc.integer({ min: 1, max: 1_200 }),
      instanceId: fc.constantFrom('Generated' as const, 'PodName' as const),
      whenNotReady: fc.constantFrom('MarkUnhealthy' as const, 'Lapse' as const, 'Remove' as const),
      notReadyGraceSeconds: fc.integer({ min: 0, max: 300 }),
      apiOutage: fc.record(
        { mode: outageMode, maxHoldSeconds: fc.integer({ min: 0, max: 86_400 }) },
        { requiredKeys: [] },
      ),
      nodeLoss: fc.constantFrom('NodeLease' as const, 'PodReadiness' as const),
      onConflict: fc.constantFrom('Yield' as const, 'Adopt' as const),
      suspend: fc.boolean(),
      port: fc.constantFrom('http', 8080),
      metadata: fc.dictionary(word, word),
      metadataFromLabels: fc.uniqueArray(word),
    },
    { requiredKeys: [] },
  )
  .filter(({ ttlSeconds = 3_600, refreshIntervalSeconds = 1 }) => refreshIntervalSeconds * 3 <= ttlSeconds);

const FIELDS = [
  'ttlSeconds',
  'instanceId',
  'whenNotReady',
  'notReadyGraceSeconds',
  'nodeLoss',
  'onConflict',
  'suspend',
  'port',
  'metadata',
  'metadataFromLabels',
] as const;

test('each field is the nearest layer’s, and only the resource’s own interval can be too long: 3,000 cases', () => {
  fc.assert(
    fc.property(layer, layer, layer, (spec, workload, namespace) => {
      const resolved = resolveSettings(spec, 'web', overlaid(overlaid(someDefaults, namespace), workload));
      const ttlSeconds = spec.ttlSeconds ?? workload.ttlSeconds ?? namespace.ttlSeconds ?? someDefaults.ttlSeconds;
      if (resolved.kind === 'invalid') {
        expect((spec.refreshIntervalSeconds ?? 0) * 3).toBeGreaterThan(ttlSeconds);
        return;
      }
      const { value } = resolved;
      const unsaid = { metadata: {}, metadataFromLabels: [], suspend: false };
      for (const field of FIELDS) {
        const [nearest] = [spec, workload, namespace, someDefaults, unsaid].filter((one) => Object.hasOwn(one, field));
        expect(Reflect.get(value, field), field).toEqual(
          nearest === undefined ? undefined : Reflect.get(nearest, field),
        );
      }
      const outages = [spec, workload, namespace, someDefaults].map(({ apiOutage }) => apiOutage);
      expect(value.apiOutage).toEqual({
        mode: outages.find((one) => one?.mode !== undefined)?.mode,
        maxHoldSeconds: outages.find((one) => one?.maxHoldSeconds !== undefined)?.maxHoldSeconds,
      });
      expect(value.refreshIntervalSeconds).toBeGreaterThanOrEqual(1);
      expect(value.refreshIntervalSeconds * 3).toBeLessThanOrEqual(ttlSeconds);
      if (spec.refreshIntervalSeconds !== undefined)
        expect(value.refreshIntervalSeconds).toBe(spec.refreshIntervalSeconds);
    }),
    { numRuns: 3_000 },
  );
});

test('any text as a namespace’s defaults is taken or refused, and never leaves a resource without settings', () => {
  const texts = fc.oneof(
    fc.string(),
    fc.json(),
    layer.map((value) => JSON.stringify(value)),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const answer = readNamespaceDefaults(text);
      if (answer.kind === 'invalid') {
        expect(answer.problem).not.toBe('');
        return;
      }
      expect(resolveSettings({}, 'web', overlaid(someDefaults, answer.value)).kind).toBe('valid');
    }),
    { numRuns: 2_000 },
  );
  expect(Object.prototype).not.toHaveProperty('ttlSeconds');
});
