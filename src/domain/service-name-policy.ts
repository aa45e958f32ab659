// A ServiceNamePolicy as the rest of the code sees it. Not the schema people write against: that is `policy-schema.ts`,
// and `trimPolicy` turns the one into the other.

import { clusterKey } from './namespace.ts';
import type { ObjectKey } from './pod.ts';
import { asList, asObject, asText } from './raw.ts';
import { type LabelSelector, readSelector } from './selector.ts';

export type PolicyView = {
  readonly key: ObjectKey;
  /** Always empty: a policy is in none. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Whole service names, or the beginning of names and a `*`. */
  readonly names: readonly string[];
  /** By the labels of namespaces. */
  readonly namespaces: LabelSelector;
};

/**
 * Undefined for what has no UID or name; never throws. A selector that cannot be read grants nothing, and the names are
 * guarded all the same: a policy that was meant to keep others out must not let them in.
 */
export const trimPolicy = (raw: unknown): PolicyView | undefined => {
  const object = asObject(raw);
  const metadata = asObject(object?.['metadata']);
  const uid = asText(metadata?.['uid']);
  const name = asText(metadata?.['name']);
  if (uid === undefined || name === undefined) return undefined;
  const spec = asObject(object?.['spec']);
  return {
    key: clusterKey(name),
    namespace: '',
    name,
    uid,
    names: asList(spec?.['names']).flatMap((text) => asText(text) ?? []),
    namespaces: readSelector(spec?.['namespaces']),
  };
};

export const policyMatches = ({ names }: PolicyView, serviceName: string): boolean =>
  names.some((pattern) =>
    pattern.endsWith('*') ? serviceName.startsWith(pattern.slice(0, -1)) : serviceName === pattern,
  );
