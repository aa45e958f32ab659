// Which version an instance shows, always `x.y.z`: readers refuse every other form. Where it comes from is the
// resource's choice or the documented chain; what does not fit is normalised, and said.

import type { PodView } from './pod.ts';
import type { VersionSource } from './settings.ts';

export type ResolvedVersion = {
  readonly version: string;
  /** The original text, when `version` is not the same; at most 64 characters. */
  readonly sourceVersion?: string;
  /** For a condition: what became of the source. The same sentence for all pods of one release. */
  readonly note?: string;
};

const NO_VERSION = '0.0.0';

// `v` dropped, missing parts 0, pre-release and build cut. Leading zeros fit no version, and four parts are no version.
const VERSION_TEXT = /^v?(0|[1-9]\d*)(?:\.(0|[1-9]\d*))?(?:\.(0|[1-9]\d*))?(?:[-+].*)?$/i;

// An image tag's limit. Longer texts are no versions, and numbers beyond 15 digits are none that readers compare right.
const SOURCE_LENGTH_MAX = 128;
const PART_DIGITS_MAX = 15;
/** Of what people write, and of what is shown. */
export const SHOWN_LENGTH_MAX = 64;

/** Always of the grammar; `0.0.0` for what is no version. */
export const normaliseVersion = (text: string): string => {
  const match = text.length <= SOURCE_LENGTH_MAX ? VERSION_TEXT.exec(text) : null;
  if (match === null) return NO_VERSION;
  const parts = [match[1] ?? '0', match[2] ?? '0', match[3] ?? '0'];
  return parts.some((part) => part.length > PART_DIGITS_MAX) ? NO_VERSION : parts.join('.');
};

/**
 * The annotation of the pod counts before the registration's source; it is the first of the chain as well. `annotated`:
 * what it last said well, where it is no good.
 */
export const resolveVersion = (
  pod: PodView,
  source: VersionSource,
  annotated: string | undefined = versionAnnotation(pod.annotations),
): ResolvedVersion => {
  if (annotated !== undefined) return fromText(annotated, 'the version annotation');
  switch (source.kind) {
    case 'Value':
      return fromText(source.value, 'version.value');
    case 'Label':
      return fromOptional(valueOf(pod.labels, source.name), `the label ${source.name}`);
    case 'Annotation':
      return fromOptional(valueOf(pod.versionAnnotations ?? {}, source.name), `the annotation ${source.name}`);
    case 'ImageTag': {
      const container = pod.containers.find(({ name }) => name === source.container);
      return fromOptional(imageTag(container?.image ?? ''), `the image tag of container ${source.container}`);
    }
    case 'Chain':
      return chain(pod);
  }
};

/** The pod's own annotation, when it says anything. */
const versionAnnotation = (annotations: Readonly<Record<string, string>>): string | undefined => {
  const text = annotations['version'];
  return text === undefined ? undefined : versionText(text);
};

/** What a person wrote as a version, undefined for nothing and for far too much. */
export const versionText = (text: string): string | undefined => {
  const trimmed = text.trim();
  return trimmed === '' || trimmed.length > SHOWN_LENGTH_MAX ? undefined : trimmed;
};

const chain = (pod: PodView): ResolvedVersion => {
  for (const label of ['app.kubernetes.io/version', 'version']) {
    const value = valueOf(pod.labels, label);
    if (value !== undefined) return fromText(value, `the label ${label}`);
  }
  const tag = imageTag(pod.containers[0]?.image ?? '');
  // The end of the chain is a documented default, so nothing is said about it.
  return tag === undefined ? { version: NO_VERSION } : fromText(tag, 'the image tag');
};

/** `host:5000/repo:tag@sha256:...` -> `tag`; the digest when there is no tag; undefined when there is neither. */
export const imageTag = (image: string): string | undefined => {
  const [reference = '', digest] = image.split('@');
  const name = reference.slice(reference.lastIndexOf('/') + 1);
  const colon = name.indexOf(':');
  const tag = colon === -1 ? '' : name.slice(colon + 1);
  return tag || digest || undefined;
};

const valueOf = (record: Readonly<Record<string, string>>, name: string): string | undefined =>
  Object.hasOwn(record, name) ? record[name] || undefined : undefined;

const fromOptional = (text: string | undefined, where: string): ResolvedVersion =>
  text === undefined
    ? { version: NO_VERSION, note: `${where} is absent or holds no version; registered as ${NO_VERSION}` }
    : fromText(text, where);

const fromText = (text: string, where: string): ResolvedVersion => {
  const version = normaliseVersion(text);
  if (version === text) return { version };
  const sourceVersion = printable(text).slice(0, SHOWN_LENGTH_MAX).toWellFormed();
  return { version, sourceVersion, note: `"${sourceVersion}" from ${where} is registered as ${version}` };
};

// Control characters would be escaped to six bytes each; nobody reads them.
const printable = (text: string): string => text.replace(/\p{Cc}/gu, '?');
