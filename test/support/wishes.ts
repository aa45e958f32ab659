// Builders of wishes and rows: whole, ordinary ones, of which a test states only what it is about.

import type { Wish } from '../../src/domain/instance.ts';
import { instanceKey } from '../../src/domain/names.ts';
import { objectKey } from '../../src/domain/pod.ts';
import { encodeInstance } from '../../src/domain/service-instance.ts';
import { NEVER, type Observed, type Row } from '../../src/table/row.ts';
import { NINE, someDefaults } from './builders.ts';

export type WishOptions = Partial<Omit<Wish, 'content'>> & { readonly version?: string; readonly podName?: string };

/** A live wish of pod `trading/{podName}` under service `trading-service`. The UID follows from the pod's name. */
export const aWish = ({ version = '1.4.2', podName = 'trading-1', ...wish }: WishOptions = {}): Wish => {
  const serviceName = wish.serviceName ?? 'trading-service';
  return {
    pod: { namespace: 'trading', name: podName, uid: uidOf(podName) },
    registration: objectKey('trading', serviceName),
    serviceName,
    instanceIdMode: 'Generated',
    keyLayout: 'Dotted',
    whenNotReady: 'MarkUnhealthy',
    adopt: false,
    apiOutage: someDefaults.apiOutage,
    nodeLoss: 'NodeLease',
    ttlMs: 30_000,
    intervalMs: 10_000,
    content: { serviceName, version, stickyActiveGroup: null, metadata: { namespace: 'trading', pod: podName } },
    state: { kind: 'live' },
    podCreatedAtMs: NINE,
    readySinceMs: NINE,
    ...wish,
  };
};

/** Distinct for distinct names within a test. */
export const uidOf = (name: string): string => {
  const hex = Buffer.from(name).toString('hex').padStart(32, '0').slice(-32);
  return [hex.slice(24), hex.slice(20, 24), hex.slice(16, 20), hex.slice(12, 16), hex.slice(0, 12)].join('-');
};

export const away = (reason: 'PodNotReady' | 'Terminating' | 'Suspended' | 'Deselected' = 'PodNotReady') =>
  ({ kind: 'away', reason }) as const;

/** What was acknowledged for `wish` at monotonic `writtenAtMs`. */
export const ours = (
  wish: Wish,
  writtenAtMs: number,
  more: Partial<Extract<Observed, { kind: 'ours' }>> = {},
): Observed => {
  const status = wish.state.kind === 'live' ? 'ACTIVE' : 'UNHEALTHY';
  return {
    kind: 'ours',
    revision: 7,
    status,
    active: undefined,
    text: encodeInstance(wish.content, 'trading-service-1', status),
    ttlMs: wish.ttlMs,
    writtenAtMs,
    heartbeatMs: NINE,
    ...more,
  };
};

/** A row outside any table, for pure functions of rows. */
export const aRow = (wish: Wish, observed: Observed, more: Partial<Row> = {}): Row => {
  const key = instanceKey(wish.serviceName, 'trading-service-1');
  if (key === undefined) throw new Error('the builder makes no key of this service name');
  return {
    key,
    form: 'Dotted',
    instanceId: 'trading-service-1',
    fraction: 0.5,
    wish,
    grace: undefined,
    farewell: false,
    tenure: 'current',
    group: undefined,
    role: 'ACTIVE',
    text: encodeInstance(wish.content, 'trading-service-1', wish.state.kind === 'live' ? 'ACTIVE' : 'UNHEALTHY'),
    observed,
    heartbeatMs: 0,
    wishedAtMs: 0,
    dampedUntilMs: NEVER,
    refreshDueMs: 0,
    yieldUntilMs: 0,
    inFlight: false,
    report: { status: 'Pending', reason: 'Registering', sinceMs: NINE },
    list: undefined,
    previous: undefined,
    next: undefined,
    dueMs: 0,
    ...more,
  };
};

/** For tables too small to be worked on in slices, or where nothing else has to run. */
export const noPause = (): Promise<void> => Promise.resolve();
