// What annotations ask for, and what is wrong with them. An annotation is written by hand and checked by nobody: each
// is taken or refused by itself, a refused one leaves the last good value, and every refusal says what would be right.

import {
  INTERVAL_SECONDS_MAX,
  type ServiceRegistrationSpec,
  type SpecDefaults,
  TTL_SECONDS_MAX,
  TTL_SECONDS_MIN,
} from './crd-schema.ts';
import { parseDuration } from './duration.ts';
import { GROUP_NAME_RULE, isGroupName, isServiceName, SERVICE_NAME_RULE } from './names.ts';
import { DEFAULTS_ANNOTATION } from './namespace-defaults.ts';
import type { PodView } from './pod.ts';
import { parsePort } from './port.ts';
import type { Defaults } from './settings.ts';
import { userMetadataProblem } from './user-metadata.ts';
import { SHOWN_LENGTH_MAX, versionText } from './version.ts';

export type Annotations = Readonly<Record<string, string>>;

export type AnnotationProblem = {
  /** The annotation's name without the prefix. */
  readonly annotation: string;
  /** At most 64 characters of it. */
  readonly value: string;
  /** A sentence that says what would be right. */
  readonly message: string;
};

/** `invalid`: neither "true" nor "false"; whatever was in force stays. */
export type RegisterWish = 'yes' | 'no' | 'absent' | 'invalid';

/** `spec`: of its fields only those that annotations can set. */
export type AnnotatedSpec = {
  readonly spec: ServiceRegistrationSpec;
  readonly problems: readonly AnnotationProblem[];
};

const VALUE_SHOWN_MAX = 64;

/** The annotations of this version, and what the reference says of them. */
export const ANNOTATIONS: readonly { readonly name: string; readonly meaning: string }[] = [
  { name: 'register', meaning: '`"true"`: register. `"false"` on a pod keeps that pod out, whatever selects it.' },
  {
    name: 'service-name',
    meaning: "The service's name. Absent: the label `app.kubernetes.io/name`, then the name of the workload.",
  },
  {
    name: 'version',
    meaning:
      'The version. Absent: the labels `app.kubernetes.io/version` and `version`, the image tag of the first container, `0.0.0`.',
  },
  {
    name: 'ttl',
    meaning: `How long a key lives after its last refresh: ${TTL_SECONDS_MIN} to ${TTL_SECONDS_MAX} seconds, as \`30\`, \`30s\` or \`1m30s\`.`,
  },
  { name: 'refresh-interval', meaning: 'How often a key is rewritten, in the same form; at most a third of the TTL.' },
  { name: 'instance-id', meaning: '`Generated` or `PodName`.' },
  { name: 'port', meaning: 'The name or number of a container port.' },
  {
    name: 'sticky-active-group',
    meaning: 'The name of a group of which one pod at a time is `ACTIVE` and the other Ready ones are `STANDBY`.',
  },
  { name: 'when-not-ready', meaning: '`MarkUnhealthy`, `Lapse` or `Remove`.' },
  { name: 'metadata', meaning: 'A JSON object of text, such as `{"team":"rates"}`.' },
];

/** The one on a namespace. */
export const NAMESPACE_ANNOTATIONS: typeof ANNOTATIONS = [
  {
    name: DEFAULTS_ANNOTATION,
    meaning:
      'A JSON object of spec fields, all but `serviceName` and `selector`, for resources of the namespace that leave them out. One wrong field, and the whole annotation is refused.',
  },
];

/** Without the prefix; what it means is `release-brake.ts`. */
export const RELEASE_ANNOTATION = 'release-brake';

/** The one on a ServiceRegistration. */
export const RESOURCE_ANNOTATIONS: typeof ANNOTATIONS = [
  {
    name: RELEASE_ANNOTATION,
    meaning:
      'A time (RFC 3339). What a brake has held for this resource since before it is let go: its pods that are not to be seen, and those on nodes that look lost. For a person who knows that they are gone.',
  },
];

const KNOWN = new Set(ANNOTATIONS.map(({ name }) => name));

export const readRegister = (annotations: Annotations): RegisterWish => {
  const text = annotations['register'];
  if (text === undefined) return 'absent';
  if (text === 'true') return 'yes';
  return text === 'false' ? 'no' : 'invalid';
};

export const registerProblem = (annotations: Annotations): readonly AnnotationProblem[] =>
  readRegister(annotations) === 'invalid' ? [problem(annotations, 'register', 'must be "true" or "false"')] : [];

/**
 * Reads a workload's annotations as the spec of its registration, but for the service name. Where an annotation is
 * invalid, the field of `lastGood` stands (the spec stored now), or nothing, which is the default.
 */
export const readSpecAnnotations = (
  annotations: Annotations,
  defaults: Pick<Defaults, 'ttlSeconds'>,
  lastGood: ServiceRegistrationSpec = {},
): AnnotatedSpec => {
  const problems: AnnotationProblem[] = [...unknownAnnotations(annotations)];
  const read = <T>(name: string, parse: (text: string) => Parsed<T>, good: T | undefined): T | undefined => {
    const text = annotations[name];
    if (text === undefined) return undefined;
    const parsed = parse(text);
    if (parsed.kind === 'good') return parsed.value;
    problems.push(problem(annotations, name, parsed.message));
    return good;
  };
  const ttlSeconds = read('ttl', (text) => parseSeconds(text, TTL_SECONDS_MIN, TTL_SECONDS_MAX), lastGood.ttlSeconds);
  const refreshIntervalSeconds = read(
    'refresh-interval',
    (text) => parseInterval(text, ttlSeconds ?? defaults.ttlSeconds),
    lastGood.refreshIntervalSeconds,
  );
  const intervalFits =
    refreshIntervalSeconds !== undefined && refreshIntervalSeconds * 3 <= (ttlSeconds ?? defaults.ttlSeconds);
  const instanceId = read('instance-id', (text) => parseWord(text, ['Generated', 'PodName']), lastGood.instanceId);
  const versionValue = read('version', parseVersion, lastGood.version?.value);
  const port = read('port', parsePortText, lastGood.port);
  const whenNotReady = read(
    'when-not-ready',
    (text) => parseWord(text, ['MarkUnhealthy', 'Lapse', 'Remove']),
    lastGood.whenNotReady,
  );
  const stickyActiveGroup = read('sticky-active-group', parseGroup, lastGood.stickyActiveGroup);
  const metadata = read('metadata', parseMetadata, lastGood.metadata);
  const spec: ServiceRegistrationSpec = {
    ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    // A last good interval that no longer fits a new TTL is not good any more.
    ...(intervalFits ? { refreshIntervalSeconds } : {}),
    ...(instanceId === undefined ? {} : { instanceId }),
    ...(versionValue === undefined ? {} : { version: { value: versionValue } }),
    ...(port === undefined ? {} : { port }),
    ...(stickyActiveGroup === undefined ? {} : { stickyActiveGroup }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(whenNotReady === undefined ? {} : { whenNotReady }),
  };
  return { spec, problems };
};

/** Those that are not each pod's own word, which overrides everything. */
export const withoutPodFields = ({ version: _v, port: _p, metadata: _m, ...rest }: Annotations): Annotations => rest;

/** What a pod's own annotations override, whichever registration selects it. */
export type PodOverrides = {
  readonly register: RegisterWish;
  /** As it is written. */
  readonly version?: string;
  readonly port?: string | number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly problems: readonly AnnotationProblem[];
};

/** Where an annotation is invalid, what it last said well stands, or nothing, so that it overrides nothing. */
export const readPodAnnotations = (annotations: Annotations, lastGood: SpecDefaults = {}): PodOverrides => {
  const problems: AnnotationProblem[] = [...registerProblem(annotations)];
  const read = <T>(name: string, parse: (text: string) => Parsed<T>, good: T | undefined): T | undefined => {
    const text = annotations[name];
    const parsed = text === undefined ? undefined : parse(text);
    if (parsed?.kind !== 'bad') return parsed?.value;
    problems.push(problem(annotations, name, parsed.message));
    return good;
  };
  const version = read('version', parseVersion, lastGood.version?.value);
  const port = read('port', parsePortText, lastGood.port);
  const metadata = read('metadata', parseMetadata, lastGood.metadata) ?? {};
  return {
    register: readRegister(annotations),
    metadata,
    problems,
    ...(version === undefined ? {} : { version }),
    ...(port === undefined ? {} : { port }),
  };
};

/**
 * The service that annotated pods or a workload name: the annotation, the label `app.kubernetes.io/name`, the
 * workload's name, for a pod without one its own. The first that fits the grammar: a label is not ours to complain
 * about. Undefined when none does.
 */
export const annotatedServiceName = (
  annotations: Annotations,
  labels: Readonly<Record<string, string>>,
  objectName: string,
): string | undefined =>
  [annotations['service-name'], labels['app.kubernetes.io/name'], objectName].find(
    (name) => name !== undefined && isServiceName(name),
  );

export const podServiceName = (pod: PodView, workloadName?: string): string | undefined =>
  annotatedServiceName(pod.annotations, pod.labels, workloadName ?? pod.name);

export const serviceNameProblem = (annotations: Annotations): readonly AnnotationProblem[] => {
  const name = annotations['service-name'];
  if (name === undefined || isServiceName(name)) return [];
  return [problem(annotations, 'service-name', `must be ${SERVICE_NAME_RULE}`)];
};

export const problem = (annotations: Annotations, annotation: string, message: string): AnnotationProblem => ({
  annotation,
  value: (annotations[annotation] ?? '').slice(0, VALUE_SHOWN_MAX).toWellFormed(),
  message: `${annotation} ${message}.`,
});

const unknownAnnotations = (annotations: Annotations): readonly AnnotationProblem[] =>
  Object.keys(annotations)
    .filter((name) => !KNOWN.has(name))
    .map((name) => problem(annotations, name, `is no annotation of this version; it knows ${[...KNOWN].join(', ')}`));

type Parsed<T> = { readonly kind: 'good'; readonly value: T } | { readonly kind: 'bad'; readonly message: string };

const good = <T>(value: T): Parsed<T> => ({ kind: 'good', value });
const bad = (message: string): Parsed<never> => ({ kind: 'bad', message });

const parseSeconds = (text: string, min: number, max: number): Parsed<number> => {
  const duration = parseDuration(text, min, max);
  return duration.kind === 'seconds' ? good(duration.seconds) : bad(duration.message);
};

const parseInterval = (text: string, ttlSeconds: number): Parsed<number> => {
  const parsed = parseSeconds(text, 1, INTERVAL_SECONDS_MAX);
  if (parsed.kind === 'good' && parsed.value * 3 > ttlSeconds) {
    return bad(`must be at most a third of the TTL, which is ${ttlSeconds} s`);
  }
  return parsed;
};

const parseWord = <W extends string>(text: string, words: readonly W[]): Parsed<W> => {
  const word = words.find((candidate) => candidate === text);
  return word === undefined ? bad(`must be ${words.join(' or ')}`) : good(word);
};

/** Any text that a person can read: what is not of the form 1.4.2 is normalised later, and said. */
const parseVersion = (text: string): Parsed<string> => {
  const version = versionText(text);
  return version === undefined ? bad(`must have 1 to ${SHOWN_LENGTH_MAX} characters, such as 1.4.2`) : good(version);
};

const parsePortText = (text: string): Parsed<string | number> => {
  const port = parsePort(text);
  return port === undefined ? bad('must be a number from 1 to 65535 or the name of a container port') : good(port);
};

const parseGroup = (text: string): Parsed<string> =>
  isGroupName(text) ? good(text) : bad(`must be ${GROUP_NAME_RULE}`);

const METADATA_FORM = 'must be a JSON object of text, such as {"team":"rates"}';
// Escapes can make an allowed text longer than its limit, but not by more than this.
const METADATA_TEXT_MAX = 65_536;

const parseMetadata = (text: string): Parsed<Record<string, string>> => {
  const value = text.length > METADATA_TEXT_MAX ? undefined : parseJson(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return bad(METADATA_FORM);
  const entries = Object.entries(value);
  const complaint = userMetadataProblem(Object.fromEntries(entries));
  return complaint === undefined ? good(textRecordOf(entries)) : bad(`${METADATA_FORM}: ${complaint}`);
};

const textRecordOf = (entries: readonly (readonly [string, unknown])[]): Record<string, string> =>
  Object.fromEntries(entries.map(([key, value]) => [key, typeof value === 'string' ? value : '']));

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
