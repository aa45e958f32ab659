// The status of a ServiceRegistration, as the CRD describes it. What it says and when is `registration-status.ts`'s.
// No top-level field is required: an older or newer version's status must never make an object unwritable.

import { z } from 'zod';
import { KEY_LAYOUTS } from './names.ts';

export const DETAILS_MAX = 50;
export const MESSAGE_LENGTH_MAX = 1024;

const count = () => z.int().min(0);
const word = (max: number) => z.string().max(max);
// Bounded like everything else, without a format: the API server would refuse the whole status for one odd time.
const time = () => z.string().max(64);

const effective = z
  .object({
    ttlSeconds: z.int(),
    refreshIntervalSeconds: z.int(),
    keyLayout: z.enum(KEY_LAYOUTS),
    whenNotReady: z.enum(['MarkUnhealthy', 'Lapse', 'Remove']),
    stickyActiveGroup: word(63).optional(),
  })
  .meta({ description: 'The settings in force, after all defaults.' });

const detail = z.object({
  pod: word(253),
  instanceId: word(100).optional(),
  key: word(200).optional(),
  status: word(32).meta({
    description:
      'ACTIVE, STANDBY, UNHEALTHY: what the key says. Pending: there is no live key. Conflict: it is not ours.',
  }),
  reason: word(64).optional(),
  version: word(64).optional(),
  since: time(),
});

const condition = z.object({
  type: word(64),
  status: z.enum(['True', 'False', 'Unknown']),
  observedGeneration: z.int().optional(),
  lastTransitionTime: z.string().max(64).meta({ format: 'date-time' }),
  reason: z.string().min(1).max(64),
  message: word(MESSAGE_LENGTH_MAX),
});

export const statusSchema = z
  .object({
    observedGeneration: z.int().optional().meta({ format: 'int64' }),
    serviceName: word(253).optional().meta({ description: 'The name in force.' }),
    bucket: word(64).optional(),
    effective: effective.optional(),
    ready: word(32).optional().meta({ description: 'Registered and selected pods, as 3/4.' }),
    instances: z
      .object({
        selected: count(),
        registered: count(),
        active: count(),
        standby: count(),
        unhealthy: count(),
        pending: count(),
        conflicting: count(),
      })
      .optional(),
    details: z
      .array(detail)
      .max(DETAILS_MAX)
      .optional()
      .meta({
        'x-kubernetes-list-type': 'atomic',
        description: `At most ${DETAILS_MAX} instances; unhealthy, conflicting and pending ones first, then by name.`,
      }),
    conditions: z
      .array(condition)
      .max(16)
      .optional()
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] }),
  })
  .meta({ description: 'What Rollcall sees. Written by Rollcall alone, when it changes and never per refresh.' });

type Status = z.infer<typeof statusSchema>;

/** As we write it: everything, but settings in force only where the spec was ever valid. */
export type RegistrationStatus = { [Field in Exclude<keyof Status, 'effective'>]-?: NonNullable<Status[Field]> } & {
  effective?: NonNullable<Status['effective']>;
};

/** Every reason of every condition that this version can say, by the condition's status. */
export const CONDITION_REASONS = {
  Ready: {
    True: ['Registered'],
    False: [
      'NoPodsSelected',
      'WaitingForPods',
      'Registering',
      'PartiallyRegistered',
      'Conflict',
      'NameDenied',
      'QuotaExceeded',
      'InvalidSpec',
      'Suspended',
      'RegistryUnavailable',
      'RegistryUnsupported',
      'RegistryDenied',
      'RegistryFull',
    ],
    Unknown: ['ViewStale'],
  },
  Conflict: {
    True: ['HeldByAnother', 'SelectedTwice', 'SameInstanceId'],
    False: ['NoConflict'],
    Unknown: [],
  },
  Degraded: {
    True: [
      'Holding',
      'ClockSkew',
      'BudgetStretched',
      'TtlShortenedByBucket',
      'RefreshSlowerThanReaders',
      'TtlShorterThanHandover',
      'VersionNormalised',
    ],
    False: ['AsExpected'],
    Unknown: [],
  },
} as const;
