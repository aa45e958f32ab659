// A pod that asks to be registered, and is not, because a person's resource registers its service and does not select it.
// Pure. What a person wrote is never touched, so all there is to do is to say it.

import { annotatedServiceName, podServiceName, readRegister } from './annotations.ts';
import type { PodView } from './pod.ts';
import type { RegistrationView } from './service-registration.ts';
import type { WorkloadView } from './workload.ts';

/** The person's resource; undefined when the pod does not ask, or is nobody's business. */
export const leftOutBy = (
  pod: PodView,
  workload: WorkloadView | undefined,
  registrations: readonly RegistrationView[],
  /** Those that select the pod. */
  selecting: readonly RegistrationView[],
): RegistrationView | undefined => {
  const service = wantedService(pod, workload);
  if (service === undefined || selecting.some(({ serviceName }) => serviceName === service)) return undefined;
  return registrations.find(
    ({ owned, deleting, serviceName, settings }) =>
      // Whom an invalid one selects nobody knows.
      !owned && !deleting && serviceName === service && settings.kind === 'valid',
  );
};

/** The service that the pod asks to be registered for, by its own annotations or its workload's. */
const wantedService = (pod: PodView, workload: WorkloadView | undefined): string | undefined => {
  if (pod.phase === 'Succeeded' || pod.phase === 'Failed' || pod.deleting) return undefined;
  const own = readRegister(pod.annotations);
  if (own === 'yes') return podServiceName(pod, workload?.name ?? pod.controller?.name);
  if (own !== 'absent' || workload === undefined || readRegister(workload.annotations) !== 'yes') return undefined;
  return annotatedServiceName(workload.annotations, workload.labels, workload.name);
};
