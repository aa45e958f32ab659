// Values of every pod and registration: JSON of exactly the contract's fields in order, seen by every reader, within
// 8 KiB; and the reading of arbitrary bytes.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decide } from '../../../src/domain/decide.ts';
import type { InstanceContent } from '../../../src/domain/instance.ts';
import { Interner } from '../../../src/domain/intern.ts';
import { generatedInstanceId, instanceKey, podNameInstanceId } from '../../../src/domain/names.ts';
import { type PodView, trimPod } from '../../../src/domain/pod.ts';
import { encodeInstance, parseInstance } from '../../../src/domain/service-instance.ts';
import { trimRegistration } from '../../../src/domain/service-registration.ts';
import { formatTimestamp, parseOffset, UTC } from '../../../src/domain/timestamp.ts';
import { RESERVED_METADATA_KEYS } from '../../../src/domain/user-metadata.ts';
import { aPod, aRegistration, NINE, someDefaults } from '../../support/builders.ts';
import { isAcceptedBy, READERS } from '../../support/strict-readers.ts';
import { anyText, anyUnicode, metadataKey, podName, serviceName, uid } from './arbitraries.ts';

const FIELDS = ['serviceName', 'instanceId', 'version', 'status', 'lastHeartbeat', 'stickyActiveGroup', 'metadata'];
const status = fc.constantFrom('ACTIVE' as const, 'UNHEALTHY' as const, 'STANDBY' as const);
const offset = parseOffset('+08:00') ?? UTC;

const content: fc.Arbitrary<InstanceContent> = fc.record({
  serviceName,
  version: fc.constant('1.4.2'),
  stickyActiveGroup: fc.option(serviceName),
  metadata: fc.dictionary(fc.oneof(metadataKey, anyText), fc.oneof(anyText, fc.nat())),
});

test('head, heartbeat and tail are the JSON of the object, field by field in order', () => {
  fc.assert(
    fc.property(content, status, (some, word) => {
      const { head, tail } = encodeInstance(some, 'id-1', word);
      const text = head + formatTimestamp(NINE, offset) + tail;
      const expected = {
        serviceName: some.serviceName,
        instanceId: 'id-1',
        version: some.version,
        status: word,
        lastHeartbeat: '2026-11-23T17:00:00.000+08:00',
        stickyActiveGroup: some.stickyActiveGroup,
        metadata: some.metadata,
      };
      expect(text).toBe(JSON.stringify(expected));
      expect(Object.keys(JSON.parse(text))).toEqual(FIELDS);
      const read = parseInstance(new TextEncoder().encode(text.toWellFormed()));
      expect(read).toMatchObject({ status: word, lastHeartbeatMs: NINE, version: '1.4.2' });
    }),
  );
});

const metadataText = fc.oneof(
  fc
    .dictionary(fc.oneof(metadataKey, anyText), fc.oneof(anyText, fc.constant('x'.repeat(500))))
    .map((entries) => JSON.stringify(entries)),
  anyText,
  fc.json(),
);

const pod: fc.Arbitrary<PodView> = fc
  .record({
    name: podName,
    namespace: serviceName,
    uid: uid.filter((text) => text !== ''),
    labels: fc.dictionary(fc.oneof(metadataKey, fc.constantFrom('version', 'x/pod', 'team')), anyUnicode),
    annotations: fc.record({ metadata: metadataText, version: anyText, port: anyText }, { requiredKeys: [] }),
    image: anyUnicode,
    ready: fc.boolean(),
  })
  .map(({ image, ...rest }) => aPod({ ...rest, containers: [{ name: 'a', image, ports: [] }] }));

test('what decide() wishes for any pod is seen by every reader, within 8 KiB, with its reserved fields untouched', () => {
  const userMetadata = fc.dictionary(metadataKey, fc.string({ unit: 'grapheme', maxLength: 20 }), { maxKeys: 8 });
  const fromLabels = fc.array(fc.oneof(metadataKey, fc.constantFrom('x/pod', 'team')), { maxLength: 8 });
  fc.assert(
    fc.property(pod, userMetadata, fromLabels, (view, metadata, metadataFromLabels) => {
      const registration = aRegistration({
        name: 'web',
        settings: { selector: { matchLabels: {}, matchExpressions: [] }, metadata, metadataFromLabels },
      });
      const [wish] = decide(view, [registration], { offset }).wishes;
      if (wish === undefined) throw new Error('every pod is selected');
      for (const id of [generatedInstanceId('web', view.uid, 16), podNameInstanceId(view.name)]) {
        expect(instanceKey('web', id)).toBeDefined();
        const { head, tail } = encodeInstance(wish.content, id, 'ACTIVE');
        const text = head + formatTimestamp(NINE, offset) + tail;
        expect(new TextEncoder().encode(text).length).toBeLessThanOrEqual(8192);
        const value: unknown = JSON.parse(text);
        for (const reader of READERS) expect(isAcceptedBy(reader, value), `${reader}: ${text}`).toBe(true);
      }
      expect(wish.content.metadata).toMatchObject({ pod: view.name, namespace: view.namespace, ip: '10.1.2.3' });
      expect(Object.keys(wish.content.metadata)).not.toContain('stickyTerm');
    }),
    { numRuns: 500 },
  );
});

test('the largest value that the rules allow stays within 8 KiB', () => {
  const long = (length: number) => 'n'.repeat(length);
  const budget = 6_656 - '{}'.length - 13 * `"k00":"",`.length;
  const metadata = Object.fromEntries(
    Array.from({ length: 13 }, (_, i) => [`k${String(i).padStart(2, '0')}`, 'x'.repeat(Math.floor(budget / 13))]),
  );
  const view = aPod({
    name: long(253),
    namespace: long(63),
    node: long(253),
    ip: 'ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255',
    labels: { version: '"'.repeat(64) },
    annotations: { metadata: JSON.stringify(metadata) },
  });
  const name = `a${long(63)}`;
  const registration = aRegistration({ name, settings: { selector: { matchLabels: {}, matchExpressions: [] } } });
  const { wishes, problems } = decide(view, [registration], { offset });
  expect(problems).toEqual([]);
  const [wish] = wishes;
  if (wish === undefined) throw new Error('no wish');
  const { head, tail } = encodeInstance(wish.content, long(100), 'UNHEALTHY');
  const bytes = new TextEncoder().encode(`${head}2026-11-23T17:00:00.000+08:00${tail}`).length;
  expect(bytes).toBeGreaterThan(7_500);
  expect(bytes).toBeLessThanOrEqual(8_192);
});

test('the order of keys in pod and registration changes nothing', () => {
  fc.assert(
    fc.property(fc.dictionary(metadataKey, fc.constantFrom('a', 'b'), { maxKeys: 6 }), (metadata) => {
      const reversed = Object.fromEntries(Object.entries(metadata).toReversed());
      const wishFor = (settings: Record<string, string>) =>
        decide(
          aPod({ annotations: { metadata: '{"z":"1","y":"2"}' } }),
          [aRegistration({ settings: { metadata: settings } })],
          { offset },
        );
      expect(JSON.stringify(wishFor(metadata))).toBe(JSON.stringify(wishFor(reversed)));
    }),
  );
});

test('a reserved key is never a user’s', () => {
  for (const key of RESERVED_METADATA_KEYS) {
    const view = aPod({ annotations: { metadata: JSON.stringify({ [key]: 'x', team: 'a' }) } });
    const { wishes, problems } = decide(view, [aRegistration()], { offset });
    expect(Object.values(wishes[0]?.content.metadata ?? {})).not.toContain('x');
    expect(problems).toHaveLength(1);
  }
});

test('no bytes and no object make reading throw', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 4096 }), (bytes) => void parseInstance(bytes)));
  fc.assert(fc.property(fc.json(), (text) => void parseInstance(new TextEncoder().encode(text))));
  const interner = new Interner();
  const odd = fc.anything({ withNullPrototype: true });
  const half = fc.record({
    metadata: fc.record({
      name: podName,
      namespace: serviceName,
      uid: fc.constant('u'),
      labels: odd,
      annotations: odd,
      ownerReferences: odd,
    }),
    spec: fc.oneof(odd, fc.record({ containers: odd, serviceName: odd, selector: odd, metadata: odd, port: odd })),
    status: fc.oneof(odd, fc.record({ conditions: fc.oneof(odd, fc.array(odd)), phase: odd, podIP: odd })),
  });
  fc.assert(
    fc.property(fc.oneof(odd, half), (raw) => {
      const view = trimPod(raw, 'rollcall.dev', interner);
      const registration = trimRegistration(raw, someDefaults);
      if (view !== undefined && registration !== undefined) decide(view, [registration], { offset });
    }),
    { numRuns: 500 },
  );
});
