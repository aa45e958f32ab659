// How three generations of readers judge a stored value, as far as `conformance/values.json` tells: written from the
// table, for tests that ask whether every reader would see what we write. No reader's code.

export const READERS = ['sdk-2025-08-03', 'sdk-main', 'monitor-api'] as const;
export type Reader = (typeof READERS)[number];

const FIELDS = ['serviceName', 'instanceId', 'version', 'status', 'lastHeartbeat', 'stickyActiveGroup', 'metadata'];
const REQUIRED = ['serviceName', 'instanceId', 'version', 'lastHeartbeat'];
const SNAKE: Readonly<Record<string, string>> = {
  service_name: 'serviceName',
  instance_id: 'instanceId',
  last_heartbeat: 'lastHeartbeat',
  sticky_active_group: 'stickyActiveGroup',
};

// A name for the readers of the SDK may be wilder than ours, the monitor's grammar is the contract's.
const LOOSE_NAME = /^[a-zA-Z][a-zA-Z0-9_-]*$/;
const STRICT_NAME = /^[a-z][a-z0-9-]{1,62}[a-z0-9]$/;
const VERSION = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?$/;

const INSTANCE_ID: Readonly<Record<Reader, RegExp>> = {
  'sdk-2025-08-03': /^[a-zA-Z0-9][a-zA-Z0-9_.:/-]*$/,
  'sdk-main': /^[a-zA-Z0-9][a-zA-Z0-9_-]*$/,
  'monitor-api': /^[a-zA-Z0-9][a-zA-Z0-9_.:/-]{0,99}$/,
};

/** Whether the reader would show the instance. */
export const isAcceptedBy = (reader: Reader, value: unknown): boolean => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const fields = new Map<string, unknown>();
  for (const [key, entry] of Object.entries(value)) {
    const name = SNAKE[key] ?? key;
    if (!FIELDS.includes(name) && reader !== 'monitor-api') {
      if (!(reader === 'sdk-main' && name === 'stickyActiveStatus')) return false;
    }
    if (fields.has(name) && reader !== 'monitor-api') return false;
    fields.set(name, entry);
  }
  if (REQUIRED.some((name) => typeof fields.get(name) !== 'string')) return false;
  const text = (name: string): string => String(fields.get(name));
  const status = fields.get('status') ?? 'ACTIVE';
  const group = fields.get('stickyActiveGroup') ?? null;
  const metadata = fields.has('metadata') ? fields.get('metadata') : {};
  return (
    (reader === 'monitor-api' ? STRICT_NAME : LOOSE_NAME).test(text('serviceName')) &&
    INSTANCE_ID[reader].test(text('instanceId')) &&
    VERSION.test(text('version')) &&
    (status === 'ACTIVE' || status === 'UNHEALTHY' || status === 'STANDBY') &&
    TIME.test(text('lastHeartbeat')) &&
    (group === null || typeof group === 'string') &&
    typeof metadata === 'object' &&
    metadata !== null &&
    !Array.isArray(metadata) &&
    isWellFormedThroughout(value)
  );
};

/** Half a surrogate pair anywhere is not text to a reader outside JavaScript. */
const isWellFormedThroughout = (value: unknown): boolean => {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([key, entry]) => key.isWellFormed() && isWellFormedThroughout(entry));
};
