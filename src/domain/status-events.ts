// Which Events a change of a resource's status is worth: pure. Only what concerns the resource as a whole; what happens to
// single keys is told as it happens.

import type { EventReason } from './event-reasons.ts';
import { asList, asObject, asText } from './raw.ts';
import type { RegistrationStatus } from './registration-status.ts';

export type StatusEvent = {
  readonly type: 'Normal' | 'Warning';
  readonly reason: EventReason;
  readonly action: string;
  readonly note: string;
};

/** `before`: the status as it was stored, undefined for none. */
export const statusEvents = (before: unknown, after: RegistrationStatus): readonly StatusEvent[] => {
  const events: StatusEvent[] = [];
  const warn = (reason: EventReason, action: string, note: string) =>
    events.push({ type: 'Warning', reason, action, note });
  for (const { type, status, reason, message } of after.conditions) {
    const was = storedReason(before, type);
    if (was === reason) continue;
    if (isRegistryTrouble(reason)) warn('RegistryUnavailable', 'Register', message);
    else if (type === 'Ready' && status !== 'Unknown' && isRegistryTrouble(was)) {
      const note = `The registry can be written again. ${message}`;
      events.push({ type: 'Normal', reason: 'Recovered', action: 'Register', note });
    }
    // That a key is somebody else's is told of each key, where it is found.
    if (reason === 'SelectedTwice' || reason === 'SameInstanceId') warn('Conflict', 'Register', message);
    if (reason === 'NameDenied' || reason === 'QuotaExceeded') warn(reason, 'Register', message);
    if (reason === 'Holding') warn('MassLapseHeld', 'Hold', message);
  }
  return events;
};

const REGISTRY_TROUBLES = new Set(['RegistryUnavailable', 'RegistryUnsupported', 'RegistryDenied', 'RegistryFull']);

const isRegistryTrouble = (reason: string | undefined): boolean =>
  reason !== undefined && REGISTRY_TROUBLES.has(reason);

const storedReason = (status: unknown, type: string): string | undefined => {
  const conditions = asList(asObject(status)?.['conditions']).map(asObject);
  return asText(conditions.find((condition) => condition?.['type'] === type)?.['reason']);
};
