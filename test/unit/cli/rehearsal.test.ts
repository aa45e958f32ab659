import { beforeEach, describe, expect, test } from 'vitest';
import { plannedKeys } from '../../../src/cli/dry-run-command.ts';
import { draftOf, explanationOf } from '../../../src/cli/explanation.ts';
import { type Rehearsal, rehearse } from '../../../src/cli/rehearsal.ts';
import type { View, ViewObject } from '../../../src/controllers/view.ts';
import { DETAILS_MAX } from '../../../src/domain/crd-status-schema.ts';
import { objectKey, type PodView } from '../../../src/domain/pod.ts';
import type { RegistrationView } from '../../../src/domain/service-registration.ts';
import { UTC } from '../../../src/domain/timestamp.ts';
import { type ClusterViews, clusterViews } from '../../../src/kubernetes/watch-cluster.ts';
import { aPod, aRegistration, NINE, someDefaults } from '../../support/builders.ts';
import { BUCKET, USABLE } from './messages.ts';

const REACHED = {
  kind: 'reached',
  report: USABLE,
  clocks: { wallMs: NINE, serverWallMs: NINE },
} as const;

let views: ClusterViews;

beforeEach(() => {
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  views = clusterViews({ annotationPrefix: 'rollcall.dev', defaults: someDefaults, log }, (_resource, _trim, view) => {
    const source = view.addSource();
    source.synced = true;
    source.prove(Number.MAX_VALUE);
  });
});

const show = <T extends ViewObject>(view: View<T>, ...objects: readonly T[]): void => {
  const source = view.addSource();
  source.synced = true;
  source.prove(Number.MAX_VALUE);
  for (const object of objects) source.put(object);
};

const play = <T>(
  pods: readonly PodView[],
  registrations: readonly RegistrationView[],
  look: (rehearsal: Rehearsal) => T,
  quotas: { readonly instances?: number } = {},
) => {
  show(views.pods, ...pods);
  show(views.registrations, ...registrations);
  const settings = {
    bucket: BUCKET,
    operatorId: 'my-cluster',
    replicaId: 'rehearsal',
    offset: UTC,
    defaults: someDefaults,
    nameClaims: 'FirstCome' as const,
    quotas,
  };
  const signal = new AbortController().signal;
  return rehearse({ views, registry: undefined, report: undefined, clockOffsetMs: 0, settings, signal }, look);
};

/** By hand, for the annotated pods that name its service. */
const gathering = (): RegistrationView => {
  const { settings, ...rest } = aRegistration({ spec: {} });
  if (settings.kind === 'invalid') throw new Error(settings.problem);
  const { selector: _, ...value } = settings.value;
  return { ...rest, settings: { kind: 'valid', value } };
};

describe('rehearse', () => {
  test('plans a key per Ready pod, and writes the status that the operator would write', async () => {
    const pods = [
      aPod(),
      aPod({ name: 'trading-2', uid: 'aaaabbbb-0000', key: aPod({ name: 'trading-2' }).key, ready: false }),
    ];
    await play(pods, [aRegistration()], (rehearsal) => {
      const keys = plannedKeys(BUCKET, rehearsal);
      expect(keys).toMatchObject([
        {
          key: 'service-instances.trading-service.trading-service-6f1d2c3b',
          action: 'create',
          pod: 'trading/trading-1',
          value: { serviceName: 'trading-service', status: 'ACTIVE', version: '1.4.2' },
        },
      ]);
      expect([...rehearsal.cluster.statuses.keys()]).toEqual(['trading/trading-service']);
      expect(rehearsal.events.map(({ reason }) => reason)).toContain('Registered');
    });
  });

  test('makes the resource that annotations ask for, in the play', async () => {
    const pod = aPod({ annotations: { register: 'true' }, labels: { 'app.kubernetes.io/name': 'quotes' } });
    await play([pod], [], (rehearsal) => {
      expect([...rehearsal.cluster.applied.keys()]).toEqual(['trading/quotes']);
      expect(plannedKeys(BUCKET, rehearsal).map(({ action }) => action)).toEqual(['create']);
      const draft = draftOf(pod, rehearsal, 'rollcall.dev');
      const bucket = { kind: 'unreachable', problem: 'no NATS' } as const;
      const explained = explanationOf(draft, bucket, new Map(), 'my-cluster');
      expect(explained).toMatchObject({ registered: false, decidedBy: 'RegistrationMade' });
    });
  });

  test('knows who may use a name, of what was there before it began', async () => {
    const theirs = aRegistration({ namespace: 'elsewhere', createdAtMs: NINE - 1_000 });
    await play([aPod()], [aRegistration(), theirs], (rehearsal) => {
      expect(plannedKeys(BUCKET, rehearsal)).toEqual([]);
      const explained = explanationOf(
        draftOf(aPod(), rehearsal, 'rollcall.dev'),
        { kind: 'unreachable', problem: 'no NATS' },
        new Map(),
        'my-cluster',
      );
      expect(explained).toMatchObject({ registered: false, decidedBy: 'NameGranted' });
      expect(explained.because).toContain('elsewhere');
    });
  });

  test('tells a pod that is over the quota from those within', async () => {
    const older = aPod({
      name: 'trading-0',
      key: aPod({ name: 'trading-0' }).key,
      uid: 'aaaabbbb-0000',
      createdAtMs: NINE - 1,
    });
    const quotas = { instances: 1 };
    await play(
      [aPod(), older],
      [aRegistration()],
      (rehearsal) => {
        expect(plannedKeys(BUCKET, rehearsal).map(({ pod }) => pod)).toEqual(['trading/trading-0']);
        const bucket = { kind: 'unreachable', problem: 'no NATS' } as const;
        const explained = explanationOf(draftOf(aPod(), rehearsal, 'rollcall.dev'), bucket, new Map(), 'my-cluster');
        expect(explained).toMatchObject({ registered: false, decidedBy: 'WithinQuota' });
      },
      quotas,
    );
  });

  test.each<readonly [what: string, rule: string, says: RegExp, instanceId: 'Generated' | 'PodName', quotas: object]>([
    ['over the quota', 'WithinQuota', /over its quota/, 'Generated', { instances: 1 }],
    ['that come to one instance id', 'KeyFree', /same instance id/, 'PodName', {}],
  ])('more pods %s than a status lists: the last is told why, too', async (_, rule, says, instanceId, quotas) => {
    const count = DETAILS_MAX + 2;
    const pods = Array.from({ length: count }, (_unused, index) => {
      // All become one instance id, in as many different ways.
      const name = Array.from('aaaaaaa', (letter, bit) => ((index >> bit) & 1 ? `${letter}.` : `${letter}-`))
        .join('')
        .concat('z');
      const uid = `aaaa${String(index).padStart(4, '0')}-0000`;
      return aPod({ name, key: objectKey('trading', name), uid, createdAtMs: NINE + index });
    });
    const look = (rehearsal: Rehearsal) => {
      expect(plannedKeys(BUCKET, rehearsal)).toHaveLength(1);
      const explained = pods.map((pod) =>
        explanationOf(draftOf(pod, rehearsal, 'rollcall.dev'), REACHED, new Map(), 'my-cluster'),
      );
      expect(explained.map(({ decidedBy }) => decidedBy)).toEqual(['KeyStands', ...Array(count - 1).fill(rule)]);
      for (const { because } of explained.slice(1)) expect(because).toMatch(says);
    };
    await play(pods, [aRegistration({ settings: { instanceId } })], look, quotas);
  });

  test('does not take a key that could not be read for one that does not stand', async () => {
    await play([aPod()], [aRegistration()], (rehearsal) => {
      const draft = draftOf(aPod(), rehearsal, 'rollcall.dev');
      const unread = { ...REACHED, unread: 'no right to read' };
      const explained = explanationOf(draft, unread, new Map(), 'my-cluster');
      expect(explained).toMatchObject({ registered: false, decidedBy: 'BucketUsable' });
      expect(explained.because).toContain('no right to read');
      expect(explained.advice).toContain('docs/permissions.md');
      expect(explained.keys.map(({ stands }) => stands)).toEqual(['not known: no right to read']);
      expect(explanationOf(draft, REACHED, new Map(), 'my-cluster')).toMatchObject({
        decidedBy: 'KeyStands',
        keys: [{ stands: 'nothing' }],
      });
    });
  });

  test.each<readonly [string, readonly RegistrationView[], string]>([
    ['without any resource', [], 'RegistrationExists'],
    ['beside a resource without a selector', [gathering()], 'PodSelected'],
  ])('names an annotation that is neither true nor false, %s', async (_, registrations, rule) => {
    const pod = aPod({ annotations: { register: 'yes' } });
    await play([pod], registrations, (rehearsal) => {
      const explained = explanationOf(draftOf(pod, rehearsal, 'rollcall.dev'), REACHED, new Map(), 'my-cluster');
      expect(explained).toMatchObject({ registered: false, decidedBy: rule });
      expect(explained.because).toContain(
        'pod/trading-1 is annotated rollcall.dev/register: "yes", which must be "true" or "false"',
      );
      expect(explained.advice).toContain('annotate --overwrite pod/trading-1 rollcall.dev/register=true');
    });
  });

  test('ends with nothing to do, too', async () => {
    expect(await play([], [], ({ writes }) => writes.size)).toBe(0);
  });
});
