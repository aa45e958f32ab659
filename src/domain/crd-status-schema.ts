// The status of a ServiceRegistration, as the CRD describes it. What it says and when is `registration-status.ts`'s.
// No top-level field is required: an older or newer version's status must never make an object unwritable.

import { z } from 'zod';
import { KEY_LAYOUTS } from './names.ts';

export const DETAILS_MAX = 50;
export const MESSAGE_LENGTH_MAX = 1024;

const count = (description: string) => z.int().min(0).meta({ description });
const word = (max: number, description: string) => z.string().max(max).meta({ description });
// Bounded like everything else, without a format: the API server would refuse the whole status for one odd time.
const time = (description: string) => word(64, description);

const effective = z
  .object({
    ttlSeconds: z.int().meta({
      description:
        'The TTL that keys are written with: less than asked for where the bucket cuts it, more where a write budget stretches it.',
    }),
    refreshIntervalSeconds: z.int().meta({ description: 'How often keys are rewritten.' }),
    keyLayout: z.enum(KEY_LAYOUTS).meta({ description: 'What the keys look like.' }),
    whenNotReady: z
      .enum(['MarkUnhealthy', 'Lapse', 'Remove'])
      .meta({ description: 'What becomes of the key of a pod that is no longer Ready.' }),
    stickyActiveGroup: word(63, 'The sticky group. Absent: none.').optional(),
  })
  .meta({ description: 'The settings in force, after all defaults.' });

const detail = z.object({
  pod: word(253, 'The name of the pod, in the namespace of the resource.'),
  instanceId: word(100, 'Its id in the registry.').optional(),
  key: word(200, 'Its key in the bucket.').optional(),
  status: word(
    32,
    'ACTIVE, STANDBY, UNHEALTHY: what the key says. Pending: there is no live key. Conflict: it is not ours.',
  ),
  reason: word(64, 'Why it is Pending, Conflict or UNHEALTHY, in a word.').optional(),
  version: word(64, 'The version that readers see.').optional(),
  since: time('Since when the status is so.'),
});

const condition = z.object({
  type: word(64, 'Ready, Conflict or Degraded.'),
  status: z.enum(['True', 'False', 'Unknown']).meta({ description: 'Whether it is so.' }),
  observedGeneration: z.int().optional().meta({ description: 'The generation of the spec that this was said of.' }),
  lastTransitionTime: z
    .string()
    .max(64)
    .meta({ format: 'date-time', description: 'When the status of the condition last changed.' }),
  reason: z.string().min(1).max(64).meta({ description: 'Why, for programs: one word of a closed list.' }),
  message: word(MESSAGE_LENGTH_MAX, 'Why, and what to do about it, in sentences for people.'),
});

export const statusSchema = z
  .object({
    observedGeneration: z
      .int()
      .optional()
      .meta({ format: 'int64', description: 'The generation of the spec that this status is of.' }),
    serviceName: word(253, 'The name in force.').optional(),
    bucket: word(64, 'The bucket that the keys are in.').optional(),
    effective: effective.optional(),
    ready: word(32, 'Registered and selected pods, as 3/4.').optional(),
    instances: z
      .object({
        selected: count('Pods that the resource selects.'),
        registered: count('Of these, pods with a live key that says ACTIVE or STANDBY.'),
        active: count('Keys that say ACTIVE.'),
        standby: count('Keys that say STANDBY.'),
        unhealthy: count('Keys that say UNHEALTHY, and lapse.'),
        pending: count('Pods without a live key.'),
        conflicting: count('Pods whose key is not ours, or another pod has.'),
      })
      .optional()
      .meta({ description: 'How many pods and keys are how.' }),
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
      .meta({
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['type'],
        description: 'What kubectl wait and describe read: each of the three types, with a reason and a message.',
      }),
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
