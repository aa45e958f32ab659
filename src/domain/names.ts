// The grammars of service names and instance ids, and the keys made of the two. The one gate between user text and NATS
// subjects: JetStream stores literal `*` and `>` in subjects, which later match as wildcards, so nothing that fails its
// grammar may become an `InstanceKey`.
//
//   layout             keys of an instance
//   ------------------ ------------------------------------------------------------------
//   Dotted             service-instances.{svc}.{id}
//   Underscore         service-instances.{svc}.{id} and service-instances_{svc}_{id}
//   DoubleUnderscore   service-instances__{svc}__{id}
//
// No service name has an underscore and no id begins with one, so every key reads in one way only.

import { hashHex } from './hash.ts';
import type { InstanceKey } from './instance.ts';

export const KEY_PREFIX = 'service-instances';

/** What separates the parts of a key. */
const SEPARATORS = { Dotted: '.', Underscore: '_', DoubleUnderscore: '__' } as const;

/** What one key looks like. */
export type KeyForm = keyof typeof SEPARATORS;
export const KEY_FORMS: readonly KeyForm[] = ['Dotted', 'Underscore', 'DoubleUnderscore'];

/** Which keys an instance has; the first form is the one people are shown. */
const FORMS = {
  Dotted: ['Dotted'],
  Underscore: ['Dotted', 'Underscore'],
  DoubleUnderscore: ['DoubleUnderscore'],
} as const satisfies Record<string, readonly [KeyForm, ...KeyForm[]]>;

export type KeyLayout = keyof typeof FORMS;
export const KEY_LAYOUTS = ['Dotted', 'Underscore', 'DoubleUnderscore'] as const satisfies readonly KeyLayout[];

export const isKeyLayout = (value: unknown): value is KeyLayout => KEY_LAYOUTS.some((layout) => layout === value);

export const formsOf = (layout: KeyLayout): readonly [KeyForm, ...KeyForm[]] => FORMS[layout];

/** 3 to 64 characters; a second rule forbids `--`. */
const SERVICE_NAME_PATTERN = /^[a-z][a-z0-9-]{1,62}[a-z0-9]$/;
export const SERVICE_NAME_RULE =
  '3 to 64 lower-case letters, digits and single hyphens, beginning with a letter and not ending with a hyphen';

const INSTANCE_ID_PATTERN = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,99}$/;
const INSTANCE_ID_LENGTH_MAX = 100;

export const isServiceName = (text: string): boolean => SERVICE_NAME_PATTERN.test(text) && !text.includes('--');

/** Of a sticky group: the form of a label's value, but not empty. */
export const GROUP_NAME_PATTERN = '^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$';
export const GROUP_NAME_LENGTH_MAX = 63;
export const GROUP_NAME_RULE =
  '1 to 63 letters, digits, hyphens, underscores and dots, beginning and ending with a letter or digit';

const GROUP_NAME = new RegExp(GROUP_NAME_PATTERN);

export const isGroupName = (text: string): boolean => GROUP_NAME.test(text);

export const isInstanceId = (text: string): boolean => INSTANCE_ID_PATTERN.test(text);

/**
 * `{serviceName}-{8 or 16 hex digits of the pod's UID}`: the same pod always gets the same id. A UID that is no UUID
 * (the API accepts any text for it) is replaced by its hash.
 */
export const generatedInstanceId = (serviceName: string, uid: string, digits: 8 | 16): string => {
  const hex = uid.replaceAll('-', '').toLowerCase();
  return `${serviceName}-${/^[0-9a-f]{16,}$/.test(hex) ? hex.slice(0, digits) : hashHex(uid, digits)}`;
};

/** The pod's name with `.` replaced by `-`; over 100 characters it is cut and ended with 8 hex digits of its hash. */
export const podNameInstanceId = (podName: string): string => {
  const flat = podName.replaceAll('.', '-');
  if (flat.length <= INSTANCE_ID_LENGTH_MAX) return flat;
  return `${flat.slice(0, INSTANCE_ID_LENGTH_MAX - 9)}-${hashHex(podName, 8)}`;
};

/** Undefined when either part fails its grammar: then there is no such key, and nothing may be published. */
export const instanceKey = (
  serviceName: string,
  instanceId: string,
  form: KeyForm = 'Dotted',
): InstanceKey | undefined =>
  isServiceName(serviceName) && isInstanceId(instanceId)
    ? parseKeyText([KEY_PREFIX, serviceName, instanceId].join(SEPARATORS[form]))
    : undefined;

export type ParsedKey = {
  readonly key: InstanceKey;
  readonly form: KeyForm;
  readonly serviceName: string;
  readonly instanceId: string;
};

/** The parts of a key, undefined for anything that we could not have written. */
export const parseInstanceKey = (text: string): ParsedKey | undefined => {
  const [, separator, serviceName = '', instanceId = ''] = KEY_PATTERN.exec(text) ?? [];
  const form = KEY_FORMS.find((candidate) => SEPARATORS[candidate] === separator);
  const key = form === undefined ? undefined : instanceKey(serviceName, instanceId, form);
  return form === undefined || key === undefined ? undefined : { key, form, serviceName, instanceId };
};

const KEY_PATTERN = new RegExp(`^${KEY_PREFIX}(\\.|__?)([^._]+)\\1([^.]+)$`);

const parseKeyText = (text: string): InstanceKey => text as InstanceKey;
