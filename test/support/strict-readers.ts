// How three generations of readers judge a stored value: their rules as data, written from `test/conformance/values.json`
// and the contract, for tests that ask whether every reader would show what we write. No reader's code. Each refusal is
// a sentence, so that a failing test says what the reader disliked.

export const READERS = ['sdk-2025-08-03', 'sdk-main', 'monitor-api'] as const;
export type Reader = (typeof READERS)[number];

type Rules = {
  readonly serviceName: RegExp;
  readonly instanceId: RegExp;
  /** Fields beyond the contract's that the reader knows; `any`: what it does not know it overlooks. */
  readonly furtherFields: readonly string[] | 'any';
  /** One field under both of its spellings: the last one counts, or the instance is refused. */
  readonly bothSpellings: 'last' | 'refused';
};

const RULES: Readonly<Record<Reader, Rules>> = {
  'sdk-2025-08-03': {
    serviceName: /^[a-zA-Z][a-zA-Z0-9_-]*$/,
    instanceId: /^[a-zA-Z0-9][a-zA-Z0-9_.:/-]*$/,
    furtherFields: [],
    bothSpellings: 'refused',
  },
  'sdk-main': {
    serviceName: /^[a-zA-Z][a-zA-Z0-9_-]*$/,
    instanceId: /^[a-zA-Z0-9][a-zA-Z0-9_-]*$/,
    furtherFields: ['stickyActiveStatus'],
    bothSpellings: 'refused',
  },
  'monitor-api': {
    serviceName: /^[a-z][a-z0-9-]{1,62}[a-z0-9]$/,
    instanceId: /^[a-zA-Z0-9][a-zA-Z0-9_.:/-]{0,99}$/,
    furtherFields: 'any',
    bothSpellings: 'last',
  },
};

const FIELDS = ['serviceName', 'instanceId', 'version', 'status', 'lastHeartbeat', 'stickyActiveGroup', 'metadata'];
const REQUIRED = ['serviceName', 'instanceId', 'version', 'lastHeartbeat'];
const SNAKE: Readonly<Record<string, string>> = {
  service_name: 'serviceName',
  instance_id: 'instanceId',
  last_heartbeat: 'lastHeartbeat',
  sticky_active_group: 'stickyActiveGroup',
};
const STATUSES = ['ACTIVE', 'UNHEALTHY', 'STANDBY'];
const VERSION = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?$/;

/** Why the reader would not show the instance; undefined when it would. */
export const refusalOf = (reader: Reader, value: unknown): string | undefined =>
  refusalByRules(reader, value) ?? (isWellFormedThroughout(value) ? undefined : BROKEN_TEXT);

const BROKEN_TEXT = 'half a surrogate pair';

const refusalByRules = (reader: Reader, value: unknown): string | undefined => {
  const rules = RULES[reader];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'no object';
  const fields = new Map<string, unknown>();
  for (const [spelling, entry] of Object.entries(value)) {
    const name = SNAKE[spelling] ?? spelling;
    const isKnown = FIELDS.includes(name) || rules.furtherFields === 'any' || rules.furtherFields.includes(name);
    if (!isKnown) return `the field ${spelling}`;
    if (fields.has(name) && rules.bothSpellings === 'refused') return `${name} under two spellings`;
    fields.set(name, entry);
  }
  const missing = REQUIRED.find((name) => typeof fields.get(name) !== 'string');
  if (missing !== undefined) return `${missing} is no text`;
  const text = (name: string): string => String(fields.get(name));
  if (!rules.serviceName.test(text('serviceName'))) return `the name ${text('serviceName')}`;
  if (!rules.instanceId.test(text('instanceId'))) return `the instance id ${text('instanceId')}`;
  if (!VERSION.test(text('version'))) return `the version ${text('version')}`;
  if (!TIME.test(text('lastHeartbeat'))) return `the heartbeat ${text('lastHeartbeat')}`;
  const status = fields.get('status') ?? 'ACTIVE';
  if (typeof status !== 'string' || !STATUSES.includes(status)) return `the status ${JSON.stringify(status)}`;
  const group = fields.get('stickyActiveGroup') ?? null;
  if (group !== null && typeof group !== 'string') return 'stickyActiveGroup is no text';
  const metadata = fields.has('metadata') ? fields.get('metadata') : {};
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) return 'metadata is no object';
  return undefined;
};

/** Whether the reader would show the instance. */
export const isAcceptedBy = (reader: Reader, value: unknown): boolean => refusalOf(reader, value) === undefined;

/** What each reader that would not show this body dislikes about it; empty when all three would show it. */
export const refusals = (body: string): readonly string[] => {
  const value = parseJson(body);
  return value === undefined ? READERS.map((reader) => `${reader} refuses no JSON`) : refusalsOf(value);
};

/** The same of a body that was parsed. */
export const refusalsOf = (value: unknown): readonly string[] => {
  const broken = isWellFormedThroughout(value) ? undefined : BROKEN_TEXT;
  return READERS.flatMap((reader) => {
    const why = refusalByRules(reader, value) ?? broken;
    return why === undefined ? [] : [`${reader} refuses ${why}`];
  });
};

/** Half a surrogate pair anywhere is not text to a reader outside JavaScript. */
const isWellFormedThroughout = (value: unknown): boolean => {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([key, entry]) => key.isWellFormed() && isWellFormedThroughout(entry));
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
