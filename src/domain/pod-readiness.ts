// Whether a pod is Ready as the registry understands it. For most pods that is the condition Ready. A pod that lists our
// readiness gate cannot be Ready before its key stands, so what counts for it is everything that Ready waits for but us.
//
//   our gate      the pod counts as Ready when
//   ------------- --------------------------------------------------------------------------------------------------
//   not listed    Ready is True
//   closed        ContainersReady and all other gates are True
//   open          Ready is True; or it is not yet, says that it waits for gates, and ContainersReady and all are True
//
// The last line is the moment before the kubelet has seen that we opened the gate. Once it has, only Ready counts.
//
// Of a node that Kubernetes no longer hears the node controller sets its pods' Ready to False and touches nothing else:
// not ContainersReady, no gate, and no reason is given. A kubelet never leaves a pod so: all that Ready waits for is True.

import { asList, asObject, asText, asTimeMs, type RawObject } from './raw.ts';

/** Our condition of a pod that lists it among its readiness gates; the reason and message it was closed with, if any. */
export type PodGate =
  | { readonly kind: 'open' }
  | { readonly kind: 'closed'; readonly reason?: string; readonly message?: string };

export type PodReadiness = {
  readonly ready: boolean;
  /** Not Ready by the word of the node controller alone. */
  readonly unreadyByNode?: true;
  /** ms since the epoch; when `ready` last changed. */
  readonly readyChangedAtMs?: number;
  /** Absent: the pod does not list our gate. */
  readonly gate?: PodGate;
};

/** The type of our pod condition, `rollcall.dev/registered` unless the annotation prefix is another. */
export const gateCondition = (annotationPrefix: string): string => `${annotationPrefix}/registered`;

/** Of the kubelet: why Ready is False. */
const WAITS_FOR_GATES = 'ReadinessGatesNotReady';

const OPEN: PodGate = Object.freeze({ kind: 'open' });
const CLOSED: PodGate = Object.freeze({ kind: 'closed' });

export const podReadiness = (spec: RawObject, status: RawObject, ours: string): PodReadiness => {
  const ready = conditionOf(status, 'Ready');
  const gates = spec['readinessGates'];
  const listed =
    gates === undefined ? [] : asList(gates).flatMap((gate) => asText(asObject(gate)?.['conditionType']) ?? []);
  const parts = ['ContainersReady', ...listed.filter((type) => type !== ours)].map((type) => conditionOf(status, type));
  const isMarked = ready?.['status'] === 'False' && ready['reason'] !== WAITS_FOR_GATES && parts.every(isTrue);
  const marked = isMarked ? ({ unreadyByNode: true } as const) : {};
  if (!listed.includes(ours)) return { ...withTime(isTrue(ready), [ready]), ...marked };
  const gate = gateOf(conditionOf(status, ours));
  const isWaiting = gate.kind === 'closed' || ready?.['reason'] === WAITS_FOR_GATES;
  if (isTrue(ready) || (isWaiting && parts.every(isTrue))) return { ...withTime(true, parts), gate };
  const failing = [...parts, ...(isWaiting ? [] : [ready])].filter((condition) => !isTrue(condition));
  return { ...withTime(false, failing), gate, ...marked };
};

const gateOf = (condition: RawObject | undefined): PodGate => {
  if (condition === undefined) return CLOSED;
  if (isTrue(condition)) return OPEN;
  const reason = asText(condition['reason']);
  const message = asText(condition['message']);
  return {
    kind: 'closed',
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
  };
};

/** With the time of the last of these conditions to change. */
const withTime = (ready: boolean, conditions: readonly (RawObject | undefined)[]): PodReadiness => {
  const times = conditions.flatMap((condition) => asTimeMs(condition?.['lastTransitionTime']) ?? []);
  return times.length === 0 ? { ready } : { ready, readyChangedAtMs: Math.max(...times) };
};

const isTrue = (condition: RawObject | undefined): boolean => condition?.['status'] === 'True';

const conditionOf = (status: RawObject, type: string): RawObject | undefined => {
  for (const entry of asList(status['conditions'])) {
    const condition = asObject(entry);
    if (condition?.['type'] === type) return condition;
  }
  return undefined;
};
