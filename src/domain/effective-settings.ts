// What a ServiceRegistration's status says is in force (`status.effective`): what is agreed, what the write budget makes of
// that, and what the bucket leaves of it. Pure.

import type { RegistrationStatus } from './crd-status-schema.ts';
import type { Wish } from './instance.ts';
import { isKeyLayout } from './names.ts';
import { paceOf } from './pace.ts';
import { asObject } from './raw.ts';
import type { Settings } from './settings.ts';

type Effective = NonNullable<RegistrationStatus['effective']>;

/** What counts for one instance, which its workload may have a word in. */
export type InForce = Pick<Wish, 'ttlMs' | 'intervalMs' | 'keyLayout' | 'whenNotReady' | 'content'>;

/** Where the workloads' annotations give all instances the same, that; else what the resource alone says. */
export const effectiveOf = (settings: Settings, inForce: readonly InForce[]): Effective => {
  const [first, ...others] = inForce;
  const own = {
    ttlSeconds: settings.ttlSeconds,
    refreshIntervalSeconds: settings.refreshIntervalSeconds,
    keyLayout: settings.keyLayout,
    whenNotReady: settings.whenNotReady,
    ...inGroup(settings.stickyActiveGroup),
  };
  if (first === undefined || settings.suspend || !others.every((other) => sameInForce(first, other))) return own;
  return {
    ...own,
    ttlSeconds: first.ttlMs / 1_000,
    refreshIntervalSeconds: first.intervalMs / 1_000,
    keyLayout: first.keyLayout,
    whenNotReady: first.whenNotReady,
    ...inGroup(first.content.stickyActiveGroup),
  };
};

const inGroup = (group: unknown): Pick<Effective, 'stickyActiveGroup'> =>
  typeof group === 'string' ? { stickyActiveGroup: group } : {};

const sameInForce = (a: InForce, b: InForce): boolean =>
  a.ttlMs === b.ttlMs &&
  a.intervalMs === b.intervalMs &&
  a.keyLayout === b.keyLayout &&
  a.whenNotReady === b.whenNotReady &&
  a.content.stickyActiveGroup === b.content.stickyActiveGroup;

/** What the write budget makes of it. */
export const stretched = (agreed: Effective, stretch: number): Effective => {
  const { ttlSeconds, refreshIntervalSeconds } = agreed;
  const pace = paceOf({ ttlMs: ttlSeconds * 1_000, intervalMs: refreshIntervalSeconds * 1_000 }, stretch);
  return { ...agreed, ttlSeconds: pace.ttlMs / 1_000, refreshIntervalSeconds: pace.intervalMs / 1_000 };
};

/** What the bucket leaves of it, in whole seconds as all TTLs are. */
export const withMaxAge = (agreed: Effective, maxAgeSeconds: number): Effective =>
  maxAgeSeconds > 0 && maxAgeSeconds < agreed.ttlSeconds
    ? { ...agreed, ttlSeconds: Math.floor(maxAgeSeconds) }
    : agreed;

/** While the spec is invalid the last good settings stay in force, and so does what is said of them. */
export const storedEffective = (stored: ReturnType<typeof asObject>): Effective | undefined => {
  const effective = asObject(stored?.['effective']);
  const ttlSeconds = effective?.['ttlSeconds'];
  const refreshIntervalSeconds = effective?.['refreshIntervalSeconds'];
  const keyLayout = effective?.['keyLayout'];
  const whenNotReady = effective?.['whenNotReady'];
  if (typeof ttlSeconds !== 'number' || typeof refreshIntervalSeconds !== 'number') return undefined;
  if (!isKeyLayout(keyLayout)) return undefined;
  if (whenNotReady !== 'MarkUnhealthy' && whenNotReady !== 'Lapse' && whenNotReady !== 'Remove') return undefined;
  return {
    ttlSeconds,
    refreshIntervalSeconds,
    keyLayout,
    whenNotReady,
    ...inGroup(effective?.['stickyActiveGroup']),
  };
};
