// Why a pod has no key although a resource selects it: its namespace may not use the name, or is over a quota. Asked only
// about pods that somebody waits for; the resource's own status says it to its people.

import { decide } from '../domain/decide.ts';
import type { PodView } from '../domain/pod.ts';
import type { RegistrationView } from '../domain/service-registration.ts';
import { UTC } from '../domain/timestamp.ts';
import type { Claims } from './claims.ts';
import type { InstanceQuotas } from './instance-quotas.ts';
import { type Views, workloadOf } from './views.ts';

export type Denial = { readonly reason: 'NameDenied' | 'QuotaExceeded' | 'InvalidSpec'; readonly message: string };

export type DenialContext = {
  readonly views: Views;
  /** A namespace's registrations, whether they may use their names or not. */
  readonly registrationsOf: (namespace: string) => readonly RegistrationView[];
  readonly claims: Pick<Claims, 'of'>;
  readonly quotas: Pick<InstanceQuotas, 'isWithin' | 'description'>;
};

export const denialOf = (
  { views, registrationsOf, claims, quotas }: DenialContext,
  pod: PodView,
): Denial | undefined => {
  const registrations = registrationsOf(pod.namespace);
  if (registrations.some(({ key }) => !quotas.isWithin(pod.key, key))) {
    const message = `Namespace ${pod.namespace} has more than its quota of ${quotas.description}, and the oldest count.`;
    return { reason: 'QuotaExceeded', message };
  }
  const denied = registrations.filter(({ key }) => claims.of(key).kind !== 'granted');
  const workloadName = workloadOf(views, pod)?.name ?? pod.controller?.name;
  // What they would want for the pod, had they the right to.
  const [wish] = decide(pod, denied, { offset: UTC, ...(workloadName === undefined ? {} : { workloadName }) }).wishes;
  const claim = wish === undefined ? undefined : claims.of(wish.registration);
  switch (claim?.kind) {
    case 'denied':
      return { reason: 'NameDenied', message: claim.message };
    case 'excess':
      return { reason: 'QuotaExceeded', message: claim.message };
    case 'unfit':
      return { reason: 'InvalidSpec', message: `${claim.problem}.` };
    case 'granted':
    case 'pending':
    case undefined:
      return undefined;
  }
};
