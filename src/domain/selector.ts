// Label selectors with the meaning of Kubernetes' apimachinery: every requirement must hold, none at all selects
// everything. No field selectors, no parsing of the text form.

import { asList, asObject, asText, emptyRecord } from './raw.ts';

export type LabelSelector = {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly matchExpressions: readonly {
    readonly key: string;
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
    readonly values: readonly string[];
  }[];
};

type Requirement = LabelSelector['matchExpressions'][number];

export const selects = (selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean => {
  for (const key of Object.keys(selector.matchLabels)) {
    if (labels[key] !== selector.matchLabels[key]) return false;
  }
  return selector.matchExpressions.every((requirement) => holds(requirement, labels));
};

const holds = (requirement: Requirement, labels: Readonly<Record<string, string>>): boolean => {
  const value = Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined;
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && requirement.values.includes(value);
    case 'NotIn':
      return value === undefined || !requirement.values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
};

/** Selects no pod: what becomes of a selector that makes no sense, where leaving it out would select too much. */
const NOTHING: Requirement = { key: 'nothing', operator: 'In', values: [] };

/** The selector of a workload or resource as stored. Anything in it that cannot be read makes it select nothing. */
export const readSelector = (raw: unknown): LabelSelector => {
  const object = asObject(raw);
  if (object === undefined) return { matchLabels: {}, matchExpressions: [NOTHING] };
  const matchLabels = emptyRecord();
  const matchExpressions: Requirement[] = [];
  const labels = asObject(object['matchLabels']) ?? {};
  for (const key of Object.keys(labels)) {
    const value = labels[key];
    if (typeof value === 'string') matchLabels[key] = value;
    else matchExpressions.push(NOTHING);
  }
  for (const entry of asList(object['matchExpressions'])) matchExpressions.push(readRequirement(entry));
  return { matchLabels, matchExpressions };
};

const readRequirement = (raw: unknown): Requirement => {
  const object = asObject(raw);
  const key = asText(object?.['key']);
  const operator = object?.['operator'];
  const values = asList(object?.['values']).filter((value) => typeof value === 'string');
  if (key === undefined) return NOTHING;
  if (operator !== 'In' && operator !== 'NotIn' && operator !== 'Exists' && operator !== 'DoesNotExist') return NOTHING;
  return { key, operator, values };
};
