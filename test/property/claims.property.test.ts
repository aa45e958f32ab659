// Who may use a name, and who stays within a quota, follow from what there is: whatever order the changes come in, and
// whatever was there in between. Compared with an answer that is made from scratch.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Claims } from '../../src/controllers/claims.ts';
import { InstanceQuotas } from '../../src/controllers/instance-quotas.ts';
import { View } from '../../src/controllers/view.ts';
import type { Wish } from '../../src/domain/instance.ts';
import { judgeName, NAME_CLAIM_MODES, type NameClaimMode } from '../../src/domain/name-claims.ts';
import type { NamespaceView } from '../../src/domain/namespace.ts';
import { type ObjectKey, objectKey } from '../../src/domain/pod.ts';
import { OldestFirst, type Ranked } from '../../src/domain/quotas.ts';
import { type PolicyView, policyMatches } from '../../src/domain/service-name-policy.ts';
import type { RegistrationView } from '../../src/domain/service-registration.ts';
import { aRegistration, NINE } from '../support/builders.ts';
import { aNamespace, aPolicy } from '../support/policies.ts';
import { aWish, uidOf } from '../support/wishes.ts';

const NAMESPACES = ['a', 'a-b', 'b', 'c'];
const NAMES = ['api', 'b-api', 'web', 'web-two'];
const TEAMS = ['red', 'blue'];

type Cluster = {
  readonly registrations: readonly RegistrationView[];
  readonly policies: readonly PolicyView[];
  readonly namespaces: readonly NamespaceView[];
};

const registration = fc
  .record({
    namespace: fc.constantFrom(...NAMESPACES),
    serviceName: fc.constantFrom(...NAMES),
    suffix: fc.constantFrom('', '-canary'),
    age: fc.integer({ min: 0, max: 3 }),
    deleting: fc.boolean(),
  })
  .map(({ namespace, serviceName, suffix, age, deleting }) =>
    aRegistration({
      namespace,
      name: serviceName + suffix,
      serviceName,
      createdAtMs: NINE + age * 1_000,
      uid: `${namespace}/${serviceName}${suffix}/${age}`,
      deleting: deleting && age === 0,
    }),
  );
const policy = fc
  .record({
    name: fc.constantFrom('p', 'q', 'r'),
    names: fc.uniqueArray(fc.constantFrom('api', 'web*', 'b-*', '*'), { maxLength: 2 }),
    team: fc.constantFrom(...TEAMS),
  })
  .map(({ name, names, team }) => aPolicy({ name, names, matchLabels: { team } }));
const namespace = fc
  .record({ name: fc.constantFrom(...NAMESPACES), team: fc.constantFrom(...TEAMS) })
  .map(({ name, team }) => aNamespace(name, { team }));

const cluster = fc.record({
  registrations: fc.uniqueArray(registration, { selector: ({ key }) => key, maxLength: 12 }),
  policies: fc.uniqueArray(policy, { selector: ({ key }) => key, maxLength: 3 }),
  namespaces: fc.uniqueArray(namespace, { selector: ({ key }) => key, maxLength: 4 }),
});
const mode = fc.constantFrom(...NAME_CLAIM_MODES);
const quota = fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined });

/** The claims, following views that a test changes; `changed` collects what they told. */
const follow = (nameMode: NameClaimMode, servicesMax: number | undefined) => {
  const views = {
    registrations: new View<RegistrationView>(rethrow),
    policies: new View<PolicyView>(rethrow),
    namespaces: new View<NamespaceView>(rethrow),
  };
  const claims = new Claims(views, nameMode, servicesMax);
  const changed = new Set<ObjectKey>();
  const note = (keys: readonly ObjectKey[]) => keys.forEach((key) => changed.add(key));
  views.registrations.onChange((change) => note(claims.registrationChanged(change)));
  views.policies.onChange((change) => note(claims.policyChanged(change)));
  views.namespaces.onChange((change) => note(claims.namespaceChanged(change)));
  return { views, claims, changed };
};

const rethrow = (error: unknown): never => {
  throw error;
};

type Followed = ReturnType<typeof follow>;

const answers = ({ claims, views }: Followed): readonly string[] =>
  [...views.registrations.values()].map(({ key }) => `${key}: ${JSON.stringify(claims.of(key))}`).toSorted();

const put = ({ views }: Followed, object: RegistrationView | PolicyView | NamespaceView): void => {
  if ('settings' in object) views.registrations.put(object);
  else if ('names' in object) views.policies.put(object);
  else views.namespaces.put(object);
};

const objectsOf = ({ registrations, policies, namespaces }: Cluster) => [...namespaces, ...policies, ...registrations];

/** From scratch, without a quota. */
const judged = ({ registrations, policies, namespaces }: Cluster, nameMode: NameClaimMode) =>
  registrations
    .map((one) => {
      const nameOf = (other: RegistrationView) =>
        nameMode === 'Prefixed' ? `${other.namespace}-${other.serviceName}` : (other.serviceName ?? '');
      const name = nameOf(one);
      const claimants = registrations.filter((other) => !other.deleting && nameOf(other) === name);
      const claim = judgeName({
        name,
        mode: nameMode,
        claimants,
        policies: policies.filter((other) => policyMatches(other, name)),
        labelsOf: (wanted) => namespaces.find((other) => other.name === wanted)?.labels,
      })(one.namespace);
      return `${one.key}: ${one.deleting ? 'granted' : claim.kind}`;
    })
    .toSorted();

describe('claims to names', () => {
  test('are those of the rule, whatever order the objects came in', () => {
    fc.assert(
      fc.property(cluster, mode, fc.infiniteStream(fc.nat()), (objects, nameMode, order) => {
        const followed = follow(nameMode, undefined);
        for (const object of shuffled(objectsOf(objects), order)) put(followed, object);
        const found = objects.registrations.map(({ key }) => `${key}: ${followed.claims.of(key).kind}`).toSorted();
        expect(found).toEqual(judged(objects, nameMode));
      }),
      { numRuns: 1_000 },
    );
  });

  test('do not depend on what was there before, with a quota of services too; and every change is told', () => {
    fc.assert(
      fc.property(cluster, cluster, mode, quota, fc.infiniteStream(fc.nat()), (first, then, nameMode, max, order) => {
        const lived = follow(nameMode, max);
        for (const object of shuffled(objectsOf(first), order)) put(lived, object);
        const before = new Map(
          [...lived.views.registrations.values()].map(({ key, uid }) => [uid, lived.claims.of(key)]),
        );
        lived.changed.clear();
        const keep = new Set<ObjectKey>(objectsOf(then).map(({ key }) => key));
        for (const view of [lived.views.registrations, lived.views.policies]) {
          for (const { key } of [...view.values()]) if (!keep.has(key)) view.remove(key);
        }
        for (const object of shuffled(objectsOf(then), order)) put(lived, object);
        // A namespace that is gone is remembered while it has registrations: it is put back here.
        const gone = first.namespaces.filter(({ key }) => !keep.has(key));
        const fresh = follow(nameMode, max);
        for (const object of [...objectsOf(then), ...gone]) put(fresh, object);
        expect(answers(lived)).toEqual(answers(fresh));
        // Of a new resource everything is asked for anyway.
        for (const { key, uid } of then.registrations) {
          const was = before.get(uid);
          if (was !== undefined && was.kind !== lived.claims.of(key).kind) expect(lived.changed).toContain(key);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('of a namespace change nothing for the registered names of others, unless they are the older (I13)', () => {
    fc.assert(
      fc.property(
        cluster,
        fc.array(registration, { minLength: 1, maxLength: 8 }),
        mode,
        quota,
        (objects, more, nameMode, max) => {
          const followed = follow(nameMode, max);
          for (const object of objectsOf(objects)) put(followed, object);
          const before = new Map(objects.registrations.map(({ key }) => [key, followed.claims.of(key).kind]));
          // Made later than everything there is, as a new resource always is.
          for (const one of more) {
            put(followed, { ...one, namespace: 'late', key: objectKey('late', one.name), createdAtMs: NINE + 9_000 });
          }
          for (const [key, kind] of before) expect(followed.claims.of(key).kind).toBe(kind);
        },
      ),
      { numRuns: 500 },
    );
  });
});

const shuffled = <T>(items: readonly T[], order: fc.Stream<number>): readonly T[] => {
  const numbers = [...order.take(items.length)];
  return items
    .map((item, i) => ({ item, at: numbers[i] ?? 0 }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);
};

describe('the line of a quota', () => {
  type Thing = Ranked & { readonly key: number };
  const thing = fc.record({
    key: fc.integer({ min: 0, max: 9 }),
    createdAtMs: fc.integer({ min: 0, max: 5 }),
    bytes: fc.integer({ min: 1, max: 5 }),
    gone: fc.boolean(),
  });

  test('is drawn behind the oldest that fit, and everything that moved over it is told', () => {
    fc.assert(
      fc.property(
        fc.array(thing, { maxLength: 40 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 15 }),
        (steps, countMax, bytesMax) => {
          const line = new OldestFirst<Thing>(countMax, bytesMax);
          const there = new Map<number, Thing>();
          for (const { key, createdAtMs, bytes, gone } of steps) {
            const before = there.get(key);
            const after = gone ? undefined : { key, createdAtMs, bytes, id: `${key}` };
            const others = [...there.values()].filter((other) => other !== before);
            const were = new Map(others.map((other) => [other, line.isWithin(other)]));
            const moved = line.replace(before, after);
            there.delete(key);
            if (after !== undefined) there.set(key, after);
            const sorted = [...there.values()].toSorted(
              (a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1),
            );
            let [count, taken, open] = [0, 0, true];
            for (const other of sorted) {
              open &&= count + 1 <= countMax && taken + other.bytes <= bytesMax;
              if (open) [count, taken] = [count + 1, taken + other.bytes];
              expect(line.isWithin(other)).toBe(open);
            }
            expect(new Set(moved)).toEqual(new Set(others.filter((other) => were.get(other) !== line.isWithin(other))));
          }
          expect(line.size).toBe(there.size);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  const step = fc.record({
    pod: fc.constantFrom('p-1', 'p-2', 'p-3', 'p-4'),
    namespace: fc.constantFrom('a', 'b'),
    services: fc.uniqueArray(fc.constantFrom('web', 'api'), { maxLength: 2 }),
    age: fc.integer({ min: 0, max: 3 }),
    state: fc.constantFrom<Wish['state']>(
      { kind: 'live' },
      { kind: 'away', reason: 'PodNotReady' },
      { kind: 'away', reason: 'Terminating' },
    ),
  });

  test('for pods: each namespace has its own, no wish of another namespace is touched, and the order does not count', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.integer({ min: 1, max: 4 }), (steps, instances) => {
        const lived = new InstanceQuotas({ instances });
        const latest = new Map<ObjectKey, readonly Wish[]>();
        for (const { pod, namespace: place, services, age, state } of steps) {
          const key = objectKey(place, pod);
          const wishes = services.map((serviceName) =>
            aWish({
              serviceName,
              registration: objectKey(place, serviceName),
              pod: { namespace: place, name: pod, uid: uidOf(`${place}${pod}`) },
              podCreatedAtMs: NINE + age,
              state,
            }),
          );
          latest.set(key, wishes);
          const { moved } = lived.admit(key, wishes, []);
          for (const other of moved) expect(other.startsWith(`${place}/`)).toBe(true);
        }
        const fresh = new InstanceQuotas({ instances });
        for (const [key, wishes] of [...latest].toReversed()) fresh.admit(key, wishes, []);
        for (const [key, wishes] of latest) {
          for (const { registration } of wishes) {
            expect(lived.isWithin(key, registration)).toBe(fresh.isWithin(key, registration));
          }
        }
        for (const place of ['a', 'b']) {
          const counted = [...latest.values()].flat().filter(({ pod, state }) => {
            return pod.namespace === place && (state.kind === 'live' || state.reason === 'PodNotReady');
          });
          const within = counted.filter(({ pod, registration }) =>
            lived.isWithin(objectKey(place, pod.name), registration),
          );
          expect(within.length).toBe(Math.min(instances, counted.length));
        }
      }),
      { numRuns: 500 },
    );
  });
});
