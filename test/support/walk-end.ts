// Where a walk ended, as what it has in common with its last state applied to an empty cluster. Left out are times,
// counts of edits, and which member of a sticky group is ACTIVE: the role stays with who had it first, so it tells of the
// way. That a group has one ACTIVE member, and that status and registry agree on who it is, is part of the end.

import { asList, asObject, asText } from '../../src/domain/raw.ts';

/** A live key: the value as stored, and what else of the message is to be compared. */
export type EndedKey = { readonly key: string; readonly value: Readonly<Record<string, unknown>> };

export type EndedResource = {
  readonly name: string;
  readonly spec: unknown;
  readonly status: unknown;
  readonly generation: number | undefined;
};

export type Group = {
  readonly serviceName: string;
  readonly group: string;
  /** Pods, however many keys each has. */
  readonly active: number;
  readonly standby: number;
};

export type WalkEnd = {
  readonly keys: readonly unknown[];
  readonly groups: readonly Group[];
  readonly resources: readonly unknown[];
};

/** In no order. */
export const endOf = (keys: readonly EndedKey[], resources: readonly EndedResource[]): WalkEnd => {
  const values = new Map(keys.map(({ key, value }) => [key, value]));
  return {
    keys: keys.map(({ value, ...rest }) => timeless({ ...rest, value: withoutRole(value) })),
    groups: groupsOf(keys),
    resources: resources.map(({ status, generation, ...rest }) =>
      timeless({ ...rest, status: statusWithoutRoles(status, values), isCurrent: isCurrent(status, generation) }),
    ),
  };
};

const groupOf = (value: Readonly<Record<string, unknown>> | undefined): string | undefined =>
  asText(value?.['stickyActiveGroup']);

const withoutRole = (value: Readonly<Record<string, unknown>>): unknown => {
  const { status } = value;
  if (groupOf(value) === undefined || (status !== 'ACTIVE' && status !== 'STANDBY')) return value;
  const { stickyTerm: _, ...metadata } = asObject(value['metadata']) ?? {};
  return { ...value, status: 'IN ITS GROUP', metadata };
};

const groupsOf = (keys: readonly EndedKey[]): readonly Group[] => {
  const members = keys.filter(({ value }) => groupOf(value) !== undefined).map(({ value }) => value);
  const nameOf = (value: EndedKey['value']) => `${asText(value['serviceName'])}/${groupOf(value)}`;
  return [...Map.groupBy(members, nameOf).values()].map((values) => {
    const podsWith = (status: string) =>
      new Set(values.filter((value) => value['status'] === status).map(({ metadata }) => asObject(metadata)?.['pod']))
        .size;
    const [first] = values;
    return {
      serviceName: asText(first?.['serviceName']) ?? '',
      group: groupOf(first) ?? '',
      active: podsWith('ACTIVE'),
      standby: podsWith('STANDBY'),
    };
  });
};

/** What the status says of roles goes only where it is the same as what the registry says. */
const statusWithoutRoles = (status: unknown, values: ReadonlyMap<string, EndedKey['value']>): unknown => {
  const whole = asObject(status);
  const instances = asObject(whole?.['instances']);
  if (whole === undefined || instances === undefined) return status;
  const details = asList(whole['details']).map(asObject);
  const counted = (word: string) => details.filter((detail) => detail?.['status'] === word).length;
  const { active, standby, ...counts } = instances;
  const agree = active === counted('ACTIVE') && standby === counted('STANDBY');
  return {
    ...whole,
    instances: agree ? counts : instances,
    details: details.map((detail) => {
      const value = values.get(asText(detail?.['key']) ?? '');
      const role = groupOf(value) !== undefined && value?.['status'] === detail?.['status'];
      return role ? { ...detail, status: 'IN ITS GROUP' } : detail;
    }),
  };
};

/** Every part of the status is of the spec as it is now. */
const isCurrent = (status: unknown, generation: number | undefined): boolean => {
  const whole = asObject(status);
  const told = [whole, ...asList(whole?.['conditions']).map(asObject)];
  return told.every((part) => part?.['observedGeneration'] === generation);
};

/** A time says when, which is the way and not the end; a generation counts edits. That they are there is compared. */
const OF_THE_WAY = new Set(['lastHeartbeat', 'lastTransitionTime', 'since', 'observedGeneration']);

const timeless = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (name, entry: unknown) => (OF_THE_WAY.has(name) ? 'some' : entry)));

/** For sorting what has no order. */
export const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
