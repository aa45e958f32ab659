// Builders of what grants names: policies and namespaces.

import { clusterKey, type NamespaceView } from '../../src/domain/namespace.ts';
import type { PolicyView } from '../../src/domain/service-name-policy.ts';
import { aSelector } from './builders.ts';

export type PolicyOptions = {
  readonly name?: string;
  readonly names?: readonly string[];
  readonly matchLabels?: Readonly<Record<string, string>>;
};

/** `payments-*` for the namespaces of team payments. */
export const aPolicy = ({
  name = 'payments',
  names = ['payments-*'],
  matchLabels,
}: PolicyOptions = {}): PolicyView => ({
  key: clusterKey(name),
  namespace: '',
  name,
  uid: `uid-of-${name}`,
  names,
  namespaces: aSelector(matchLabels ?? { team: 'payments' }),
});

export const aNamespace = (name: string, labels: Readonly<Record<string, string>> = {}): NamespaceView => ({
  key: clusterKey(name),
  namespace: '',
  name,
  uid: `uid-of-${name}`,
  labels,
  annotations: {},
});
