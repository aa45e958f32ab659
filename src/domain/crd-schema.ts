// The ServiceRegistration resource as users write it and read its status: one zod schema, of which `hack/generate.ts`
// makes the CRD and the reference page. A field stands here only when it does something in this version.
//
// What CEL can check stands beside the field as `x-kubernetes-validations`, with the same check in zod for objects that
// were stored before a rule existed. No defaults: they would hide where a setting in force came from.

import { z } from 'zod';
import { statusSchema } from './crd-status-schema.ts';
import { GROUP_NAME_LENGTH_MAX, GROUP_NAME_PATTERN, GROUP_NAME_RULE, KEY_LAYOUTS } from './names.ts';
import { isPortName, isPortNumber } from './port.ts';
import { labelSelector, qualifiedName, rules, text } from './schema-parts.ts';
import {
  isUserMetadataKey,
  METADATA_ENTRIES_MAX,
  METADATA_KEY_MESSAGE,
  METADATA_KEY_PATTERN,
  METADATA_RESERVED_MESSAGE,
  METADATA_VALUE_LENGTH_MAX,
  RESERVED_METADATA_KEYS,
  userMetadataProblem,
} from './user-metadata.ts';

export const TTL_SECONDS_MIN = 3;
export const TTL_SECONDS_MAX = 3600;
export const INTERVAL_SECONDS_MAX = TTL_SECONDS_MAX / 3;
export const NOT_READY_GRACE_SECONDS_MAX = 300;
export const MAX_HOLD_SECONDS_MAX = 86_400;
export const API_OUTAGE_MODES = ['Hold', 'Probe', 'Lapse'] as const;
export const NODE_LOSS_MODES = ['NodeLease', 'PodReadiness'] as const;

const INTERVAL_RULE = {
  rule: '!has(self.ttlSeconds) || !has(self.refreshIntervalSeconds) || self.refreshIntervalSeconds * 3 <= self.ttlSeconds',
  message: 'refreshIntervalSeconds must be at most a third of ttlSeconds, so that two lost refreshes lapse nothing',
  fieldPath: '.refreshIntervalSeconds',
};

/** The part of a label's name that becomes a metadata key. */
export const afterSlash = (name: string): string => name.slice(name.lastIndexOf('/') + 1);

const reservedInCel = RESERVED_METADATA_KEYS.map((key) => `'${key}'`).join(', ');

const selector = labelSelector(
  'The pods of this namespace to register. {} selects all of them. Absent: the pods of this namespace that are annotated and name this service.',
);

const version = z
  .object({
    value: text(64).optional().meta({ description: 'The version itself.' }),
    fromLabel: qualifiedName().optional().meta({ description: "The name of a pod's label." }),
    fromAnnotation: qualifiedName().optional().meta({
      description:
        "The name of a pod's annotation. Its value counts when it begins like a version: digits, or v and digits, at most 48 characters.",
    }),
    fromImageTag: text(63).optional().meta({ description: 'The name of a container, whose image tag is the version.' }),
  })
  .refine(
    (sources) => Object.keys(sources).length <= 1,
    'at most one of value, fromLabel, fromAnnotation, fromImageTag',
  )
  .meta({
    ...rules({
      rule: '[has(self.value), has(self.fromLabel), has(self.fromAnnotation), has(self.fromImageTag)].filter(x, x).size() <= 1',
      message: 'at most one of value, fromLabel, fromAnnotation and fromImageTag may be set',
    }),
    'x-kubernetes-map-type': 'atomic',
    description:
      'Where the version comes from, at most one of these. Absent: the version annotation, the labels app.kubernetes.io/version and version, the image tag of the first container, 0.0.0. What is not of the form 1.4.2 is normalised.',
  });

const port = z
  .union([z.int(), z.string()])
  .refine((value) => (typeof value === 'number' ? isPortNumber(value) : isPortName(value)), 'must be a port')
  .meta({
    'x-kubernetes-int-or-string': true,
    maxLength: 15,
    ...rules({
      rule: "type(self) == int ? self >= 1 && self <= 65535 : self.matches('^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$') && self.matches('[a-z]')",
      message: 'port must be a number from 1 to 65535 or the name of a container port',
    }),
    description:
      'The name or number of a container port, shown in the metadata. Absent: the only declared port, else none.',
  });

const metadata = z
  .record(z.string(), text(METADATA_VALUE_LENGTH_MAX, 0))
  .superRefine((value, context) => {
    const problem = userMetadataProblem(value);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  })
  .meta({
    'x-kubernetes-map-type': 'atomic',
    maxProperties: METADATA_ENTRIES_MAX,
    ...rules(
      {
        rule: `self.all(key, key.matches('${METADATA_KEY_PATTERN}') && key != '__proto__')`,
        message: METADATA_KEY_MESSAGE,
      },
      { rule: `self.all(key, !(key in [${reservedInCel}]))`, message: METADATA_RESERVED_MESSAGE },
    ),
    description: 'Text shown to readers beside what Rollcall sets itself.',
  });

const apiOutage = z
  .object({
    mode: z.enum(API_OUTAGE_MODES).optional().meta({
      description:
        'Hold: keys are refreshed for as long as it lasts. Probe: pods that answered at their TCP port are asked each 5 s; two failures end the refresh, and what cannot be asked is let go after maxHoldSeconds. Lapse: no key is refreshed. Absent: Probe.',
    }),
    maxHoldSeconds: z.int().min(0).max(MAX_HOLD_SECONDS_MAX).optional().meta({
      description: 'With mode Probe: for how long keys are refreshed whose pods cannot be asked. Absent: 300.',
    }),
  })
  .meta({
    description:
      'What becomes of the keys of Ready pods while the API server cannot be heard. Each of the two that is absent has its own default.',
  });

const LABEL_KEY_MESSAGE =
  'the part after the slash becomes a metadata key: it must begin with a letter and not be one that Rollcall sets';

const metadataFromLabels = z
  .array(qualifiedName())
  .max(METADATA_ENTRIES_MAX)
  .refine((names) => names.every((name) => isUserMetadataKey(afterSlash(name))), LABEL_KEY_MESSAGE)
  .meta({
    'x-kubernetes-list-type': 'set',
    ...rules({
      rule: `self.all(name, name.matches('^([^/]*/)?[A-Za-z][^/]*$') && !(name.split('/')[size(name.split('/')) - 1] in [${reservedInCel}]))`,
      message: LABEL_KEY_MESSAGE,
    }),
    description: 'Names of pod labels copied into the metadata when present, under the part after the slash.',
  });

const specFields = z.object({
  serviceName: text(64, 3).optional().meta({
    description:
      'The name of the service in the registry. Absent: the name of this resource. The name in force can never change: to rename, make a new resource and delete this one.',
  }),
  selector: selector.optional(),
  ttlSeconds: z.int().min(TTL_SECONDS_MIN).max(TTL_SECONDS_MAX).optional().meta({
    description: 'How long a key lives after its last refresh.',
  }),
  refreshIntervalSeconds: z.int().min(1).max(INTERVAL_SECONDS_MAX).optional().meta({
    description:
      'How often a key is rewritten; at most a third of the TTL. Absent: 10, or a third of the TTL when that is less.',
  }),
  instanceId: z.enum(['Generated', 'PodName']).optional().meta({
    description:
      "Generated: the service's name and 8 digits of the pod's UID. PodName: the pod's name, dots replaced by hyphens.",
  }),
  version: version.optional(),
  port: port.optional(),
  stickyActiveGroup: z
    .string()
    .regex(new RegExp(GROUP_NAME_PATTERN), `must be ${GROUP_NAME_RULE}`)
    .max(GROUP_NAME_LENGTH_MAX)
    .optional()
    .meta({
      description:
        'A group of which one pod at a time is ACTIVE and the other Ready ones are STANDBY. Registrations of the same service that name the same group share it. Absent: no group, every Ready pod is ACTIVE.',
    }),
  metadata: metadata.optional(),
  metadataFromLabels: metadataFromLabels.optional(),
  whenNotReady: z.enum(['MarkUnhealthy', 'Lapse', 'Remove']).optional().meta({
    description:
      'What becomes of the key of a pod that is no longer Ready. MarkUnhealthy: rewritten once as UNHEALTHY, then it lapses. Lapse: it lapses. Remove: it is purged at once.',
  }),
  notReadyGraceSeconds: z.int().min(0).max(NOT_READY_GRACE_SECONDS_MAX).optional().meta({
    description:
      'A pod that is Ready again within so many seconds keeps its key as it was, refreshed all the while. Deletion is never delayed. Absent: 0.',
  }),
  apiOutage: apiOutage.optional(),
  nodeLoss: z.enum(NODE_LOSS_MODES).optional().meta({
    description:
      "NodeLease: a pod whose node has not renewed its lease for 20 s counts as not Ready, unless so many nodes are silent that something else must be wrong; that holds for what Kubernetes says of such nodes' pods as well. PodReadiness: only what Kubernetes says of the pod counts. Absent: NodeLease.",
  }),
  onConflict: z.enum(['Yield', 'Adopt']).optional().meta({
    description:
      'What happens when somebody else holds a key. Yield: it is left alone, and a condition says so. Adopt: it is taken over.',
  }),
  keyLayout: z.enum(KEY_LAYOUTS).optional().meta({
    description:
      'What the keys look like. Dotted: service-instances.{svc}.{id}. Underscore: that and service-instances_{svc}_{id}. DoubleUnderscore: service-instances__{svc}__{id} alone. The last two need the NATS right to publish to $KV.{bucket}.*.',
  }),
  suspend: z.boolean().optional().meta({
    description: 'Lets every key of this resource lapse, and touches nothing else.',
  }),
});

type Intervals = { readonly ttlSeconds?: number | undefined; readonly refreshIntervalSeconds?: number | undefined };

const refineInterval = ({ ttlSeconds, refreshIntervalSeconds }: Intervals, context: z.RefinementCtx): void => {
  if (ttlSeconds !== undefined && refreshIntervalSeconds !== undefined && refreshIntervalSeconds * 3 > ttlSeconds) {
    context.addIssue({ code: 'custom', path: ['refreshIntervalSeconds'], message: INTERVAL_RULE.message });
  }
};

export const specSchema = specFields
  .superRefine(refineInterval)
  .meta({ ...rules(INTERVAL_RULE), description: 'What is registered, and how. May be {}.' });

/** What a namespace or the installation may say for resources that do not: every field but the two that name and select. */
export const defaultsSchema = z
  .strictObject(specFields.omit({ serviceName: true, selector: true }).shape)
  .superRefine(refineInterval);

/** What is absent in JSON is absent here, never `undefined`. */
type Exact<T> = { [Field in keyof T]: Exclude<T[Field], undefined> };

/** The spec as stored: every field optional, nothing completed by defaults. */
export type ServiceRegistrationSpec = Exact<z.infer<typeof specSchema>>;

export type SpecDefaults = Exact<z.infer<typeof defaultsSchema>>;

/** `problem`: the first that was found, with the path of its field. */
export type Parsed<T> =
  | { readonly kind: 'valid'; readonly value: T }
  | { readonly kind: 'invalid'; readonly problem: string };

/** `raw`: from JSON. Never throws. */
export const parseSpec = (raw: unknown): Parsed<ServiceRegistrationSpec> => {
  const { data, error } = specSchema.safeParse(raw);
  return data === undefined ? invalid(['spec'], error) : { kind: 'valid', value: data as ServiceRegistrationSpec };
};

/** Likewise, of the fields that may have defaults. */
export const parseDefaults = (raw: unknown): Parsed<SpecDefaults> => {
  const { data, error } = defaultsSchema.safeParse(raw);
  return data === undefined ? invalid([], error) : { kind: 'valid', value: data as SpecDefaults };
};

const invalid = (root: readonly string[], error: z.ZodError): Parsed<never> => {
  const [issue] = error.issues;
  const path = [...root, ...(issue?.path ?? [])].map(String).join('.');
  const message = issue?.message ?? 'invalid';
  return { kind: 'invalid', problem: path === '' ? message : `${path}: ${message}` };
};

/** The whole resource. The rules at the root see the name as well; they shipped first, because later ones block writes. */
export const resourceSchema = z
  .object({
    spec: specSchema,
    status: statusSchema.optional(),
  })
  .meta({
    description: 'Keeps the ready pods it selects in the service registry.',
    ...rules(
      {
        rule: `(has(self.spec.serviceName) ? self.spec.serviceName : self.metadata.name).matches('^[a-z][a-z0-9-]{1,62}[a-z0-9]$') && !(has(self.spec.serviceName) ? self.spec.serviceName : self.metadata.name).contains('--')`,
        message:
          'the service name (spec.serviceName, or metadata.name without it) must be 3 to 64 lower-case letters, digits and single hyphens, beginning with a letter and not ending with a hyphen',
        fieldPath: '.spec.serviceName',
      },
      {
        rule: '(has(self.spec.serviceName) ? self.spec.serviceName : self.metadata.name) == (has(oldSelf.spec.serviceName) ? oldSelf.spec.serviceName : oldSelf.metadata.name)',
        message:
          'the service name can never change: make a new ServiceRegistration and delete this one to rename the service',
        fieldPath: '.spec.serviceName',
      },
    ),
  });
