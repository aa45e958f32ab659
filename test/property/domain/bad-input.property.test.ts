// Eleven thousand cases of what people write, right and wrong mixed, through the whole pure path: annotations or spec ->
// trimmed -> owned resource -> decided -> encoded -> the grammar of subjects -> the three readers. Each part ends as
// accepted and right, or as refused by its name; nothing throws, nothing else changes, and no prototype is touched.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { decide } from '../../../src/domain/decide.ts';
import { readNamespaceDefaults } from '../../../src/domain/namespace-defaults.ts';
import { planForWorkload } from '../../../src/domain/owned-registration.ts';
import {
  type AnnotationName,
  BY_ANNOTATION,
  INSTANCE_IDS,
  INTERVALS,
  METADATA,
  PORTS,
  REGISTERS,
  TTLS,
  VERSIONS,
  WHEN_NOT_READY,
  WRONG_DEFAULTS,
  WRONG_FIELDS,
  type Written,
} from '../../support/bad-input.ts';
import { someDefaults } from '../../support/builders.ts';
import { anyUnicode, podName, uid } from './arbitraries.ts';
import {
  complaints,
  judgeNeighbour,
  judgeWish,
  offset,
  ownedView,
  podOf,
  prefixed,
  quiet,
  registrationOf,
  usersOf,
  workloadOf,
} from './pure-path.ts';

const prototypeBefore = Object.getOwnPropertyNames(Object.prototype).join();

afterEach(() => {
  expect('polluted' in {}).toBe(false);
  expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(prototypeBefore);
});

type Texts = { readonly [N in AnnotationName]?: Written<unknown> };

const oneOf = <T>(table: readonly Written<T>[]): fc.Arbitrary<Written<T>> => fc.constantFrom(...table);

const texts: fc.Arbitrary<Texts> = fc.record(
  {
    ttl: oneOf(TTLS),
    'refresh-interval': oneOf(INTERVALS),
    'instance-id': oneOf(INSTANCE_IDS),
    'when-not-ready': oneOf(WHEN_NOT_READY),
    version: oneOf(VERSIONS),
    port: oneOf(PORTS),
    metadata: oneOf(METADATA),
  },
  { requiredKeys: [] },
);

const asAnnotations = (some: Texts): Record<string, string> =>
  Object.fromEntries(Object.entries(some).map(([name, written]) => [name, written.text]));

const numberOf = (written: Written<unknown> | undefined): number | undefined =>
  typeof written?.means === 'number' ? written.means : undefined;

/** What must be in force, worked out from the tables alone. */
const expected = (some: Texts) => {
  const ttlSeconds = numberOf(some.ttl) ?? 30;
  const interval = numberOf(some['refresh-interval']);
  const fits = interval !== undefined && interval * 3 <= ttlSeconds;
  const refused = Object.entries(some)
    .filter(([name, { means }]) => (name === 'refresh-interval' ? !fits : means === undefined))
    .map(([name]) => name);
  return {
    ttlMs: ttlSeconds * 1_000,
    intervalMs: 1_000 * (fits ? interval : Math.min(10, Math.floor(ttlSeconds / 3))),
    refused: refused.toSorted(),
  };
};

test('a workload whose annotations are right and wrong in any mixture: 4,000 cases', () => {
  fc.assert(
    fc.property(texts, oneOf(REGISTERS), fc.boolean(), (some, register, onTemplate) => {
      const workload = workloadOf({ ...asAnnotations(some), register: register.text }, onTemplate);
      const plan = planForWorkload(workload, [quiet], someDefaults);
      if (register.means !== true) {
        expect(plan.manifest).toBeUndefined();
        // What else is wrong is said all the same: a resource by hand may count on it.
        const { refused } = expected(some);
        const all = register.means === false ? refused : [...refused, 'register'];
        expect(complaints(plan.problems)).toEqual(all.toSorted());
        return;
      }
      const { ttlMs, intervalMs, refused } = expected(some);
      expect(complaints(plan.problems)).toEqual(refused);
      const owned = ownedView(plan);
      judgeNeighbour([owned]);
      const pod = podOf({});
      const { wishes, problems } = decide(pod, [quiet, owned], { offset });
      expect(problems).toEqual([]);
      const [wish] = wishes;
      if (wish === undefined || wishes.length !== 1) throw new Error(`${wishes.length} wishes`);
      judgeWish(wish);
      expect(wish).toMatchObject({
        serviceName: 'trading-service',
        ttlMs,
        intervalMs,
        instanceIdMode: some['instance-id']?.means ?? 'Generated',
        whenNotReady: some['when-not-ready']?.means ?? 'MarkUnhealthy',
      });
      expect(wish.content.version).toBe(some.version?.means ?? '1.0.0');
      expect(wish.content.metadata['port']).toBe(some.port?.means ?? 8080);
      expect(usersOf(wish)).toEqual(some.metadata?.means ?? {});
    }),
    { numRuns: 4_000 },
  );
});

test('a pod whose own annotations are right and wrong in any mixture: 2,000 cases', () => {
  const registration = registrationOf('trading-service', {
    selector: { matchLabels: { app: 'trading' } },
    metadata: { team: 'resource', zone: 'z' },
    version: { value: '9.9.9' },
    port: 7777,
  });
  const own = fc.record(
    { version: oneOf(VERSIONS), port: oneOf(PORTS), metadata: oneOf(METADATA), register: oneOf(REGISTERS) },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(own, ({ register, ...some }) => {
      const annotations = prefixed({ ...asAnnotations(some), ...(register && { register: register.text }) });
      const { wishes, problems } = decide(podOf({ metadata: { annotations } }), [registration, quiet], { offset });
      if (register?.means === false) {
        expect({ wishes, problems }).toEqual({ wishes: [], problems: [] });
        return;
      }
      const written: Readonly<Record<string, Written<unknown> | undefined>> = { ...some, register };
      const refused = Object.entries(written).filter(([, text]) => text !== undefined && text.means === undefined);
      expect(complaints(problems)).toEqual(refused.map(([name]) => name).toSorted());
      const [wish] = wishes;
      if (wish === undefined) throw new Error('the resource selects it');
      judgeWish(wish);
      expect(wish.content.version).toBe(some.version?.means ?? '9.9.9');
      expect(wish.content.metadata['port']).toBe(some.port?.means ?? 7777);
      expect(usersOf(wish)).toEqual({ team: 'resource', zone: 'z', ...some.metadata?.means });
    }),
    { numRuns: 2_000 },
  );
});

const names = JSON.parse(readFileSync(join(import.meta.dirname, '../../conformance/names.json'), 'utf8')) as {
  readonly serviceName: { readonly accept: readonly string[]; readonly refuse: readonly string[] };
};

test('names that fit are taken, names that do not are refused and come nowhere near a subject: 1,000 cases', () => {
  const { accept, refuse } = names.serviceName;
  const fits = new Set(accept);
  const some = fc.oneof(fc.constantFrom(...accept), fc.constantFrom(...refuse));
  fc.assert(
    fc.property(some, fc.option(some, { nil: undefined }), podName, uid, (name, label, podNamed, podUid) => {
      const workload = workloadOf({ register: 'true', 'service-name': name }, false);
      const labelled = label === undefined ? workload : { ...workload, labels: { 'app.kubernetes.io/name': label } };
      const plan = planForWorkload(labelled, [quiet], someDefaults);
      expect(complaints(plan.problems)).toEqual(fits.has(name) ? [] : ['service-name']);
      const expectedName = [name, label, 'trading-service'].find((text) => text !== undefined && fits.has(text));
      expect(plan.manifest?.spec.serviceName).toBe(expectedName);
      const owned = ownedView(plan);
      const pod = podOf({
        metadata: { name: podNamed, namespace: 'trading', uid: podUid || 'u', labels: { app: 'trading' } },
      });
      for (const wish of decide(pod, [owned, quiet], { offset }).wishes) judgeWish(wish);
      judgeNeighbour([owned]);
    }),
    { numRuns: 1_000 },
  );
});

const rightFields = fc.record(
  {
    ttlSeconds: fc.integer({ min: 3, max: 3600 }),
    instanceId: fc.constantFrom('Generated', 'PodName'),
    version: fc.constantFrom({ value: 'v1.2' }, { fromLabel: 'version' }, { fromImageTag: 'app' }, {}),
    port: fc.constantFrom(80, 'http', 'absent'),
    metadata: fc.constantFrom({}, { team: 'a' }, { constructor: 'x' }),
    metadataFromLabels: fc.constantFrom([], ['app'], ['example.com/team']),
    whenNotReady: fc.constantFrom('MarkUnhealthy', 'Lapse', 'Remove'),
    onConflict: fc.constantFrom('Yield', 'Adopt'),
    suspend: fc.boolean(),
  },
  { requiredKeys: [] },
);

test('specs with no, one or two wrong fields: in force, or InvalidSpec with the path: 2,000 cases', () => {
  const faults = fc.uniqueArray(fc.constantFrom(...WRONG_FIELDS), { maxLength: 2, selector: ([field]) => field });
  fc.assert(
    fc.property(rightFields, faults, (fields, wrong) => {
      const selector = { matchLabels: { app: 'trading' } };
      const view = registrationOf('trading-service', { selector, ...fields, ...Object.fromEntries(wrong) });
      judgeNeighbour([view]);
      const { wishes, frozen } = decide(podOf({}), [view, quiet], { offset });
      if (wrong.length === 0) {
        expect(view.settings.kind).toBe('valid');
        expect(wishes).toHaveLength(1);
        wishes.forEach(judgeWish);
        return;
      }
      expect(wishes).toEqual([]);
      expect(frozen).toEqual([view.key]);
      const problem = view.settings.kind === 'invalid' ? view.settings.problem : 'none';
      const places = wrong.map(([field]) => (field === 'serviceName' ? 'serviceName|the service name' : field));
      expect(problem).toMatch(new RegExp(`^(spec\\.)?(${places.join('|')})`));
    }),
    { numRuns: 2_000 },
  );
});

test.each(WRONG_DEFAULTS)('defaults of a namespace that are wrong in one thing count for nothing: %s', (text) => {
  expect(readNamespaceDefaults(text)).toMatchObject({ kind: 'invalid', problem: expect.stringMatching(/./) });
});

test('pods with anything missing or odd: a key of the grammar, or none: 1,000 cases', () => {
  const odd = fc.oneof(anyUnicode, fc.anything({ maxDepth: 1, withNullPrototype: true }));
  const status = fc.record(
    {
      phase: fc.oneof(fc.constantFrom('Running', 'Pending', 'Succeeded', 'Failed'), odd),
      podIP: fc.oneof(fc.constantFrom('10.1.2.3', 'fe80::1', ''), anyUnicode),
      startTime: fc.oneof(fc.constant('2026-11-23T09:00:00Z'), odd),
      conditions: fc.oneof(fc.constant([{ type: 'Ready', status: 'True' }]), fc.array(odd, { maxLength: 3 }), odd),
    },
    { requiredKeys: [] },
  );
  const spec = fc.record(
    {
      nodeName: fc.oneof(fc.constant('node-a'), odd),
      hostNetwork: fc.boolean(),
      initContainers: fc.constant([{ name: 'init', image: 'x:1' }]),
      containers: fc.oneof(fc.constant([]), fc.constant(undefined), fc.array(odd, { maxLength: 2 }), odd),
    },
    { requiredKeys: [] },
  );
  const registration = registrationOf('all-service', { selector: {} });
  fc.assert(
    fc.property(status, spec, uid, (podStatus, podSpec, podUid) => {
      const pod = podOf({ metadata: { uid: podUid || 'u' }, spec: podSpec, status: podStatus });
      const { wishes } = decide(pod, [registration], { offset });
      expect(wishes).toHaveLength(pod.phase === 'Succeeded' || pod.phase === 'Failed' ? 0 : 1);
      wishes.forEach(judgeWish);
    }),
    { numRuns: 1_000 },
  );
});

test('any text at all in every annotation: nothing throws, and what is written fits: 1,000 cases', () => {
  const anything = fc.dictionary(fc.constantFrom(...Object.keys(BY_ANNOTATION), 'register', 'tll'), anyUnicode);
  fc.assert(
    fc.property(anything, (annotations) => {
      const plan = planForWorkload(workloadOf({ register: 'true', ...annotations }, false), [quiet], someDefaults);
      const registrations = plan.manifest === undefined ? [] : [ownedView(plan)];
      judgeNeighbour(registrations);
      const pod = podOf({ metadata: { annotations: prefixed(annotations) } });
      for (const wish of decide(pod, registrations, { offset }).wishes) judgeWish(wish);
      for (const { message, value } of plan.problems) {
        expect(message).toMatch(/^[a-z-]+ .*\.$/s);
        expect(value.length).toBeLessThanOrEqual(64);
      }
    }),
    { numRuns: 1_000 },
  );
});
