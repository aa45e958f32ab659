// Reading Kubernetes objects that nobody has checked: whatever is missing or of another type is absent, nothing throws.
// For `trimPod` and its like alone; behind them everything is typed. No zod here: this runs for every pod event.

import type { Interner } from './intern.ts';

/** The owner reference that says `controller: true`. */
export type ControllerRef = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
};

export type RawObject = Readonly<Record<string, unknown>>;

export const asObject = (value: unknown): RawObject | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as RawObject) : undefined;

export const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);

/** Undefined for the empty text as well: Kubernetes writes "" and nothing for the same. */
export const asText = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

/** ms since the epoch. */
export const asTimeMs = (value: unknown): number | undefined => {
  if (typeof value !== 'string') return undefined;
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? undefined : ms;
};

/** Without a prototype: a label called `constructor` or `__proto__` is a label and nothing else. */
export const emptyRecord = (): Record<string, string> => Object.create(null) as Record<string, string>;

/** The texts of a map, keys sorted, shared with every equal map. `cutPrefix`: only the keys under it, without it. */
export const textRecord = (value: unknown, interner: Interner, cutPrefix = ''): Readonly<Record<string, string>> => {
  const object = asObject(value);
  const entries: (readonly [string, string])[] = [];
  if (object !== undefined) {
    for (const key of Object.keys(object)) {
      const text = object[key];
      if (typeof text !== 'string' || !key.startsWith(cutPrefix) || key.length === cutPrefix.length) continue;
      entries.push([key.slice(cutPrefix.length), text]);
    }
  }
  return sharedRecord(entries, interner);
};

export const sharedRecord = (
  entries: (readonly [string, string])[],
  interner: Interner,
): Readonly<Record<string, string>> => {
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  // JSON keeps the signature unambiguous whatever the values hold.
  const signature = entries.length === 0 ? 'record' : `record${JSON.stringify(entries)}`;
  return interner.share(signature, () => {
    const record = emptyRecord();
    for (const [key, text] of entries) record[interner.text(key)] = interner.text(text);
    return Object.freeze(record);
  });
};

/** `{prefix}/`, the part of an annotation's name that makes it ours. */
export const annotationStem = (prefix: string): string => `${prefix}/`;

export const controllerOf = (metadata: RawObject, interner: Interner): ControllerRef | undefined => {
  for (const entry of asList(metadata['ownerReferences'])) {
    const owner = asObject(entry);
    if (owner?.['controller'] !== true) continue;
    const apiVersion = asText(owner['apiVersion']);
    const kind = asText(owner['kind']);
    const name = asText(owner['name']);
    const uid = asText(owner['uid']);
    if (apiVersion === undefined || kind === undefined || name === undefined || uid === undefined) continue;
    return interner.share(`controller${JSON.stringify([apiVersion, kind, name, uid])}`, () =>
      Object.freeze({ apiVersion, kind, name, uid }),
    );
  }
  return undefined;
};
