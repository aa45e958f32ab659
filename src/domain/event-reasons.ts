// Every Kubernetes Event that this version can send, and what each means. The reference page is made of this list.

export const EVENT_REASONS = {
  Registered: 'A key was written for a pod that had none that stood.',
  Unhealthy: 'A pod is not Ready or leaves: its key says UNHEALTHY, or was removed.',
  Recovered: 'A key that said UNHEALTHY is ACTIVE again; on a resource also: the registry can be written again.',
  Lapsed:
    'The key of a Ready pod was found gone; it is written again. After an outage once per resource, with how many.',
  Conflict: "A key cannot be had: it is somebody else's, or another pod or resource has the better right to it.",
  VersionNormalised: 'A version was not of the form 1.4.2; the note says what was made of it.',
  InvalidAnnotation: 'An annotation says nothing that could be followed; the note says what would be right.',
  RoleChanged: 'A key of a sticky group became ACTIVE or STANDBY.',
  NotSelected: 'A pod asks to be registered, or waits for it, and no resource selects it.',
  NameDenied:
    'A resource asks for a service name that its namespace may not use; the note names the policy or the holder.',
  QuotaExceeded: 'A namespace is over a quota, and this resource, or this pod, is not registered for it.',
  MassLapseHeld:
    'So much is missing from what the API server shows that keys are kept until a second look; or so many nodes are silent that the keys of their pods are kept; or the API server cannot be heard.',
  RegistryUnavailable: 'The registry cannot be written; the note says why.',
} as const;

export type EventReason = keyof typeof EVENT_REASONS;
