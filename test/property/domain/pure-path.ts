// The pure path of the operator, from objects as the API server shows them to the bytes of a key, and the judge of what
// comes out at its end. For the tests of bad input; no I/O, no time.

import { expect } from 'vitest';
import type { AnnotationProblem } from '../../../src/domain/annotations.ts';
import { specSchema } from '../../../src/domain/crd-schema.ts';
import { decide } from '../../../src/domain/decide.ts';
import type { Wish } from '../../../src/domain/instance.ts';
import { Interner } from '../../../src/domain/intern.ts';
import { generatedInstanceId, instanceKey, podNameInstanceId } from '../../../src/domain/names.ts';
import type { OwnedPlan } from '../../../src/domain/owned-registration.ts';
import { type PodView, trimPod } from '../../../src/domain/pod.ts';
import { encodeInstance, ownerHeader } from '../../../src/domain/service-instance.ts';
import { type RegistrationView, trimRegistration } from '../../../src/domain/service-registration.ts';
import { formatTimestamp, parseOffset, UTC } from '../../../src/domain/timestamp.ts';
import { RESERVED_METADATA_KEYS } from '../../../src/domain/user-metadata.ts';
import { trimWorkload, type WorkloadView } from '../../../src/domain/workload.ts';
import { NINE, someDefaults } from '../../support/builders.ts';
import { refusals } from '../../support/strict-readers.ts';

const FIELDS = ['serviceName', 'instanceId', 'version', 'status', 'lastHeartbeat', 'stickyActiveGroup', 'metadata'];
const KEY = /^service-instances\.[a-z][a-z0-9-]{1,62}[a-z0-9]\.[a-zA-Z0-9][a-zA-Z0-9_-]{0,99}$/;
export const offset = parseOffset('+08:00') ?? UTC;
const interner = new Interner();

const must = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error('it has an identity');
  return value;
};

export const prefixed = (annotations: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(annotations).map(([name, text]) => [`rollcall.dev/${name}`, text]));

export const workloadOf = (annotations: Readonly<Record<string, string>>, onTemplate: boolean): WorkloadView => {
  const written = prefixed(annotations);
  return must(
    trimWorkload(
      'Deployment',
      {
        metadata: { name: 'trading-service', namespace: 'trading', uid: 'w-1', annotations: onTemplate ? {} : written },
        spec: {
          selector: { matchLabels: { app: 'trading' } },
          template: { metadata: { annotations: onTemplate ? written : {} } },
        },
      },
      'rollcall.dev',
      interner,
    ),
  );
};

export const registrationOf = (name: string, spec: unknown, metadata: object = {}): RegistrationView =>
  must(
    trimRegistration({ metadata: { name, namespace: 'trading', uid: `uid-${name}`, ...metadata }, spec }, someDefaults),
  );

export const podOf = (raw: { readonly metadata?: object; readonly spec?: object; readonly status?: object }): PodView =>
  must(
    trimPod(
      {
        metadata: {
          name: 'p-1',
          namespace: 'trading',
          uid: '6f1d2c3b-4a59-4e0f',
          labels: { app: 'trading' },
          ...raw.metadata,
        },
        spec: {
          containers: [{ name: 'app', image: 'x:1.0.0', ports: [{ name: 'http', containerPort: 8080 }] }],
          ...raw.spec,
        },
        status: raw.status ?? READY,
      },
      'rollcall.dev',
      interner,
    ),
  );

const READY = { phase: 'Running', podIP: '10.1.2.3', conditions: [{ type: 'Ready', status: 'True' }] };

/** Another service's pod in the same namespace, and its resource: nothing that is done to a neighbour may change it. */
export const quiet = registrationOf('quiet-service', { selector: { matchLabels: { app: 'quiet' } } });
const quietPod = podOf({
  metadata: { name: 'quiet-1', uid: 'aaaaaaaa-0000-4000-8000-000000000001', labels: { app: 'quiet' } },
});
const quietAlone = JSON.stringify(decide(quietPod, [quiet], { offset }));

export const judgeNeighbour = (registrations: readonly RegistrationView[]): void => {
  expect(JSON.stringify(decide(quietPod, [...registrations, quiet], { offset }).wishes)).toBe(
    JSON.stringify(JSON.parse(quietAlone).wishes),
  );
};

/** The key and bytes that would be written for the wish are of the grammar, small, and shown by every reader. */
export const judgeWish = (wish: Wish): void => {
  const id =
    wish.instanceIdMode === 'PodName'
      ? podNameInstanceId(wish.pod.name)
      : generatedInstanceId(wish.serviceName, wish.pod.uid, 8);
  expect(instanceKey(wish.serviceName, id)).toMatch(KEY);
  expect(ownerHeader('operator', wish.pod)).toMatch(/^[\x21-\x7e]+$/);
  const { head, tail } = encodeInstance(wish.content, id, 'ACTIVE');
  const body = head + formatTimestamp(NINE, offset) + tail;
  expect(new TextEncoder().encode(body).length).toBeLessThanOrEqual(8_192);
  expect(refusals(body), body).toEqual([]);
  const value = JSON.parse(body) as { readonly serviceName: string; readonly metadata: Record<string, unknown> };
  expect(Object.keys(value)).toEqual(FIELDS);
  expect(value.serviceName).toBe(wish.serviceName);
  expect(value.metadata).toMatchObject({ namespace: wish.pod.namespace, pod: wish.pod.name });
  expect(wish.intervalMs * 3).toBeLessThanOrEqual(wish.ttlMs);
  expect(wish.ttlMs).toBeGreaterThanOrEqual(3_000);
};

export const usersOf = (wish: Wish): Record<string, unknown> =>
  Object.fromEntries(Object.entries(wish.content.metadata).filter(([key]) => !RESERVED_METADATA_KEYS.includes(key)));

export const complaints = (problems: readonly AnnotationProblem[]): readonly string[] =>
  problems.map(({ annotation }) => annotation).toSorted();

/** The owned resource as it comes back from the API server, which must never refuse it. */
export const ownedView = (plan: OwnedPlan): RegistrationView => {
  const { manifest } = plan;
  if (manifest === undefined) throw new Error('it is to be registered');
  expect(specSchema.safeParse(manifest.spec).error?.issues ?? []).toEqual([]);
  const { name, labels, ownerReferences } = manifest.metadata;
  const view = registrationOf(name, JSON.parse(JSON.stringify(manifest.spec)), { labels, ownerReferences });
  expect(view.settings).toMatchObject({ kind: 'valid' });
  return view;
};
