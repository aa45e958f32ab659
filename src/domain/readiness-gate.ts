// What becomes of the readiness gate of one pod that is Ready but for it: pure. The gate says "this pod is registered", so
// that a rollout waits for the registry. It is opened once, and never closed again.
//
//   the pod's keys                               the registry             the gate
//   -------------------------------------------- ------------------------ ----------------------------------------------
//   there are some, and all are acknowledged     in whatever state        opened, Registered
//   none is wanted, or one is refused            in whatever state        stays closed, and after a moment says why
//   on their way                                 away for the time limit  opened, with the registry's reason
//   one that the registry will not have          for the time limit       opened, with the registry's reason
//   on their way                                 otherwise                stays closed, and after the time limit says so
//
// Refused is what waits for a person: nobody selects the pod, or who does may not have the name or is over a quota; its key
// is somebody else's; its registration is suspended.
// A registry that is away must not stop the cluster's rollouts; a person's mistake may stop that person's.

import { conflictSentence, type InstanceReport, type RegistryHealth } from './registration-status.ts';

export type GateReason =
  | 'Registered'
  | 'NotSelected'
  | 'NameDenied'
  | 'QuotaExceeded'
  | 'InvalidSpec'
  | 'Conflict'
  | 'Suspended'
  | 'Registering'
  | Extract<RegistryHealth, { kind: 'broken' }>['reason'];

export type GateStep =
  | { readonly kind: 'open'; readonly reason: GateReason; readonly message: string }
  /** Not opened; the condition says why. */
  | { readonly kind: 'refuse'; readonly reason: GateReason; readonly message: string }
  /** Not opened, and nothing is said yet. */
  | { readonly kind: 'wait' };

export type GateInput = {
  /** The pod's instances, under every registration that selects it. */
  readonly reports: readonly InstanceReport[];
  /** Why a resource that selects the pod does not register it: its name is denied, or a quota exceeded. */
  readonly denial?: { readonly reason: GateReason; readonly message: string };
  /** The pod is annotated `register: "false"`. */
  readonly keptOut: boolean;
  /** Names of the namespace's resources whose spec is invalid: they might select the pod. */
  readonly invalid: readonly string[];
  readonly registry: RegistryHealth;
  /** For how long the registry could not be written. */
  readonly unwellForMs: number;
  /** For how long the pod has been seen to wait. */
  readonly waitedMs: number;
  readonly timeoutMs: number;
};

/** A resource made for the pod's workload, or a slow batch, comes within this. */
const REFUSE_AFTER_MS = 5_000;

export const gateStep = (input: GateInput): GateStep => {
  const { reports, registry, unwellForMs, waitedMs, timeoutMs } = input;
  const missing = reports.filter(({ status }) => status !== 'ACTIVE' && status !== 'STANDBY');
  if (reports.length > 0 && missing.length === 0) {
    return { kind: 'open', reason: 'Registered', message: `${reports.map(({ key }) => key).join(' and ')} stands.` };
  }
  const refusal = refusalOf(input, missing);
  if (refusal !== undefined) return waitedMs < REFUSE_AFTER_MS ? { kind: 'wait' } : { kind: 'refuse', ...refusal };
  if (registry.kind === 'broken' && unwellForMs >= timeoutMs) {
    const seconds = Math.round(timeoutMs / 1_000);
    const message = `Not registered, and not waited for any longer: the registry cannot be written for ${seconds} s or more. ${registry.message}`;
    return { kind: 'open', reason: registry.reason, message };
  }
  if (waitedMs < timeoutMs || registry.kind === 'broken') return { kind: 'wait' };
  const refused = missing.find((report) => report.refusal !== undefined)?.refusal;
  if (refused !== undefined) {
    const message = `Not registered, and not waited for any longer. ${refused.message}`;
    return { kind: 'open', reason: refused.reason, message };
  }
  return {
    kind: 'refuse',
    reason: 'Registering',
    message: `${missing[0]?.key ?? 'The key'} is still not acknowledged.`,
  };
};

const refusalOf = (
  { reports, denial, keptOut, invalid }: GateInput,
  missing: readonly InstanceReport[],
): { readonly reason: GateReason; readonly message: string } | undefined => {
  if (reports.length === 0) return denial ?? { reason: 'NotSelected', message: notSelected(keptOut, invalid) };
  const conflict = missing.find(({ status }) => status === 'Conflict');
  if (conflict !== undefined) return { reason: 'Conflict', message: conflictSentence(conflict) };
  if (missing.some(({ reason }) => reason === 'Suspended')) {
    const message = 'A ServiceRegistration that selects this pod has spec.suspend: true, so its key is not written.';
    return { reason: 'Suspended', message };
  }
  return undefined;
};

const notSelected = (keptOut: boolean, invalid: readonly string[]): string => {
  if (keptOut) {
    return 'The annotation register: "false" keeps this pod out of the registry, so its readiness gate never opens: take one of the two out of the pod template.';
  }
  const [first] = invalid;
  const perhaps = first === undefined ? '' : ` The spec of ${first} is invalid, and it selects no new pods.`;
  return `No ServiceRegistration selects this pod, and its workload is not annotated to be registered: do either, or take the readiness gate out of the pod template.${perhaps}`;
};
