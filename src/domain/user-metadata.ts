// The rules for metadata that users add to a value: which keys, how long, how much in all. Shared by the resource and
// the annotations; the fields Rollcall sets itself are `decide.ts`'s.

/** Set by Rollcall alone, in this order. */
export const RESERVED_METADATA_KEYS: readonly string[] = [
  'start_time',
  'namespace',
  'pod',
  'node',
  'ip',
  'port',
  'sourceVersion',
  'stickyTerm',
];

/** Fits the grammar, and is the one key that changes objects instead of being in them when a reader copies it. */
const FORBIDDEN_KEY = '__proto__';

export const METADATA_KEY_PATTERN = '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$';
export const METADATA_ENTRIES_MAX = 32;
export const METADATA_VALUE_LENGTH_MAX = 512;
/**
 * As JSON in UTF-8. A value is to stay within 8 KiB in all; the fields around the users' take at most 1.5 KiB, with
 * every name at its longest.
 */
export const METADATA_BYTES_MAX = 6_656;

const KEY = new RegExp(METADATA_KEY_PATTERN);

export const METADATA_KEY_MESSAGE =
  'metadata keys begin with a letter or underscore and hold at most 63 letters, digits, underscores, dots and hyphens; __proto__ is refused';
export const METADATA_RESERVED_MESSAGE = `the metadata keys ${RESERVED_METADATA_KEYS.join(', ')} are set by Rollcall itself`;

const isMetadataKey = (key: string): boolean => KEY.test(key) && key !== FORBIDDEN_KEY;

export const isUserMetadataKey = (key: string): boolean => isMetadataKey(key) && !RESERVED_METADATA_KEYS.includes(key);

/** What is wrong with it, as one sentence without a full stop; undefined when it is fit to be written. */
export const userMetadataProblem = (metadata: Readonly<Record<string, unknown>>): string | undefined => {
  const keys = Object.keys(metadata);
  if (keys.length > METADATA_ENTRIES_MAX)
    return `at most ${METADATA_ENTRIES_MAX} entries are allowed, not ${keys.length}`;
  for (const key of keys) {
    if (!isMetadataKey(key)) return METADATA_KEY_MESSAGE;
    if (RESERVED_METADATA_KEYS.includes(key)) return METADATA_RESERVED_MESSAGE;
    const value = metadata[key];
    if (typeof value !== 'string') return `the value of ${key} must be text in quotes`;
    // Strict readers refuse the whole instance for half a surrogate pair.
    if (!value.isWellFormed()) return `the value of ${key} is not valid Unicode`;
    if (lengthOf(value) > METADATA_VALUE_LENGTH_MAX) {
      return `the value of ${key} is longer than ${METADATA_VALUE_LENGTH_MAX} characters`;
    }
  }
  if (metadataBytes(metadata) > METADATA_BYTES_MAX) return `all of it must stay within ${METADATA_BYTES_MAX} bytes`;
  return undefined;
};

/** Code points, as the API server counts: an emoji is one. */
export const lengthOf = (text: string): number => {
  let length = 0;
  for (const _ of text) length++;
  return length;
};

export const metadataBytes = (metadata: Readonly<Record<string, unknown>>): number =>
  new TextEncoder().encode(JSON.stringify(metadata)).length;
