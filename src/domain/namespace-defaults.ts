// What a namespace says for resources in it that leave a field out: its annotation `defaults`, a JSON object of spec
// fields. Which of them count, and what comes before them, is `settings.ts`.

import { type Parsed, parseDefaults, type SpecDefaults } from './crd-schema.ts';
import { asObject } from './raw.ts';

/** The annotation, without the prefix. */
export const DEFAULTS_ANNOTATION = 'defaults';

// All fields at their longest take less than half of this.
const TEXT_MAX = 65_536;

/** The annotation counts as a whole: one wrong field, and none of it does. */
export const readNamespaceDefaults = (text: string): Parsed<SpecDefaults> => {
  const value = asObject(text.length > TEXT_MAX ? undefined : parseJson(text));
  if (value !== undefined) return parseDefaults(value);
  return { kind: 'invalid', problem: 'it must be a JSON object of spec fields, such as {"ttlSeconds":60}' };
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text, refuseProto);
  } catch {
    return undefined;
  }
};

/** The one key that changes objects instead of being in them, and so would be lost without a word. */
const refuseProto = (key: string, value: unknown): unknown => {
  if (key === '__proto__') throw new SyntaxError('no field has this name');
  return value;
};
