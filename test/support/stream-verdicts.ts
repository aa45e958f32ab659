// What must hold for any record of the stream, whatever the test did: the registry's contract and the invariants that the
// stream alone can prove. Each verdict is a list of sentences, empty when all is well. The numbers (I3, I6, ...) are those
// of the project's invariants. All ages are by the server's own clock, so a slow witness accuses nobody.

import type { Sighting } from './stream-observer.ts';
import { refusals } from './strict-readers.ts';

/** What the observer gives. */
export type Recorded = { readonly messages: readonly Sighting[] };

/** Whether the pod was Ready at that moment of the server's clock, and for a while before: what the test knows. */
export type WasReady = (podUid: string, storedAtMs: number) => boolean;

export type Lapse = {
  readonly key: string;
  readonly podUid: string;
  readonly storedAtMs: number;
  readonly sentence: string;
};

const FIELDS = 'serviceName,instanceId,version,status,lastHeartbeat,stickyActiveGroup,metadata';
const HEARTBEAT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)$/;
const VERSION = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/;
/** One separator throughout: a dot, an underscore or two. */
const KEY = /^service-instances(\.|__?)([a-z][a-z0-9-]{1,62}[a-z0-9])\1([a-zA-Z0-9][a-zA-Z0-9_-]{0,99})$/;
const REASONS = [
  'Registered',
  'Refresh',
  'NotReady',
  'Terminating',
  'Deselected',
  'RoleChange',
  'SpecChange',
  'Handover',
];
/** The contract's order; some are absent, and what users add comes after. */
const RESERVED = ['start_time', 'namespace', 'pod', 'node', 'ip', 'port', 'sourceVersion', 'stickyTerm'];

/** A test that writes in our guise says so with this header, and is not judged. */
export const PLANTED = 'Test-Planted';

const isOurs = ({ headers, subject, operation }: Sighting): boolean =>
  (headers['Rollcall-Schema'] !== undefined || subject.startsWith('$ROLLCALL.')) &&
  (operation === 'PUT' || operation === 'PURGE') &&
  headers[PLANTED] === undefined;

/** Values of ours: what a reader would list as an instance. */
const isInstance = (sighting: Sighting): boolean =>
  isOurs(sighting) && sighting.operation === 'PUT' && sighting.key !== undefined;

/** Replicas announce themselves outside of any term; the lock and the keys are written in one. */
const isOfATerm = (sighting: Sighting): boolean =>
  isOurs(sighting) && !/^\$ROLLCALL\.[^.]+\.[^.]+\.replica\./.test(sighting.subject);

/** All verdicts that need nothing but the record. */
export const breaches = ({ messages }: Recorded, from = 0): readonly string[] => {
  const record = messages.slice(from);
  return [
    ...malformed(record),
    ...unreadable(record),
    ...immortal(record),
    ...staleAuthors(record),
    ...stalledHeartbeats(record),
    ...doubledKeys(record),
    ...strayWrites(record),
    ...sharedRoles(record),
  ];
};

/** Exactly the contract's JSON, its field order, its grammars and its headers. */
export const malformed = (record: readonly Sighting[]): readonly string[] =>
  record.filter(isInstance).flatMap((sighting) => {
    const problem = flaw(sighting);
    return problem === undefined ? [] : [`${place(sighting)}: ${problem}`];
  });

const flaw = ({ key = '', body, value, headers }: Sighting): string | undefined => {
  const [, , serviceName, instanceId] = KEY.exec(key) ?? [];
  if (serviceName === undefined || serviceName.includes('--')) return `no key of the grammar: ${key}`;
  if (value === undefined) return `no instance: ${body.slice(0, 120)}`;
  // The bytes: what was parsed has the order of whoever parses.
  const written = Object.keys(JSON.parse(body)).join();
  if (written !== FIELDS) return `fields ${written}`;
  if (body !== JSON.stringify(JSON.parse(body))) return 'not in the shortest form of JSON';
  if (value.serviceName !== serviceName || value.instanceId !== instanceId) return 'the value and the key disagree';
  if (!VERSION.test(value.version)) return `version ${value.version}`;
  if (!HEARTBEAT.test(value.lastHeartbeat)) return `lastHeartbeat ${value.lastHeartbeat}`;
  const reserved = Object.keys(value.metadata).filter((name) => RESERVED.includes(name));
  if (reserved.join() !== RESERVED.filter((name) => reserved.includes(name)).join())
    return `metadata order ${reserved.join()}`;
  const owner = (headers['Rollcall-Owner'] ?? '').split('/');
  if (owner.length !== 4 || owner.includes('')) return `owner ${headers['Rollcall-Owner']}`;
  if (headers['Rollcall-Schema'] !== '1') return `schema ${headers['Rollcall-Schema']}`;
  if (!REASONS.includes(headers['Rollcall-Reason'] ?? '')) return `reason ${headers['Rollcall-Reason']}`;
  return /^\d+$/.test(headers['Rollcall-Term'] ?? '') ? undefined : `term ${headers['Rollcall-Term']}`;
};

/** What one of the three readers would not show, with the whole message: a live instance would be invisible to it. */
export const unreadable = (record: readonly Sighting[]): readonly string[] =>
  record.filter(isInstance).flatMap((sighting) => {
    const found = refusals(sighting.body);
    return found.length === 0 ? [] : [`${place(sighting)}: ${found.join('; ')}: ${sighting.body}`];
  });

/** I11: every message of ours has a TTL. */
export const immortal = (record: readonly Sighting[]): readonly string[] =>
  record
    .filter((sighting) => isOurs(sighting) && !/^[1-9]\d*$/.test(sighting.headers['Nats-TTL'] ?? ''))
    .map((sighting) => `${place(sighting)}: Nats-TTL ${sighting.headers['Nats-TTL']} (I11)`);

/** I6, I14: along the stream no term is followed by a smaller one, per installation; what says no term has none to follow. */
export const staleAuthors = (record: readonly Sighting[]): readonly string[] => {
  const newest = new Map<string, number>();
  const found: string[] = [];
  for (const sighting of record) {
    if (!isOfATerm(sighting)) continue;
    const installation = installationOf(sighting);
    const term = Number(sighting.headers['Rollcall-Term']);
    const before = newest.get(installation) ?? 0;
    if (Number.isNaN(term)) found.push(`${place(sighting)}: no term (I6)`);
    else if (term < before) found.push(`${place(sighting)}: term ${term} after term ${before} (I6)`);
    else newest.set(installation, term);
  }
  return found;
};

/** The terms in the order in which they began. */
export const terms = (record: readonly Sighting[]): readonly number[] => [
  ...new Set(record.filter(isOfATerm).map(({ headers }) => Number(headers['Rollcall-Term']))),
];

/** I14: per key the heartbeat strictly increases. */
export const stalledHeartbeats = (record: readonly Sighting[]): readonly string[] => {
  const last = new Map<string, Sighting>();
  const found: string[] = [];
  for (const sighting of record) {
    if (!isInstance(sighting) || sighting.key === undefined) continue;
    const before = last.get(sighting.key)?.value?.lastHeartbeat;
    const now = sighting.value?.lastHeartbeat;
    last.set(sighting.key, sighting);
    if (before === undefined || now === undefined || Date.parse(now) > Date.parse(before)) continue;
    found.push(`${place(sighting)}: heartbeat ${now} after ${before} (I14)`);
  }
  return found;
};

/** I3: never two live keys of one layout and service for one pod. */
export const doubledKeys = (record: readonly Sighting[]): readonly string[] => {
  const live = new Map<string, string>();
  const found: string[] = [];
  for (const sighting of record) {
    const { key } = sighting;
    if (key === undefined) continue;
    if (!isInstance(sighting)) {
      for (const [owner, held] of live) if (held === key) live.delete(owner);
      continue;
    }
    const [, separator, serviceName] = KEY.exec(key) ?? [];
    const owner = `${separator} ${serviceName}/${sighting.podUid}`;
    const held = live.get(owner);
    if (held !== undefined && held !== key) found.push(`${place(sighting)}: the pod has ${held} as well (I3)`);
    live.set(owner, key);
  }
  return found;
};

/**
 * I5: never two ACTIVE of one sticky group at any position, and each promotion has a larger term than the one before. A
 * pod may have a key of each form, for readers of several generations: each form is judged by itself, but for who it is.
 */
export const sharedRoles = (record: readonly Sighting[]): readonly string[] => {
  // By form and group.
  const active = new Map<string, Sighting>();
  const terms = new Map<string, number>();
  const found: string[] = [];
  for (const sighting of record) {
    const { key, value } = sighting;
    if (key === undefined) continue;
    const group = roleOf(sighting);
    const role = group === undefined ? undefined : `${formOf(key)} ${group}`;
    for (const [held, holder] of active) if (holder.key === key && held !== role) active.delete(held);
    if (group === undefined || role === undefined) {
      if (isInstance(sighting) && value?.metadata['stickyTerm'] !== undefined)
        found.push(`${place(sighting)}: ${value.status} with a term (I5)`);
      continue;
    }
    const before = active.get(role);
    for (const [held, holder] of active) {
      const isOther = held === role ? holder.key !== key : holder.podUid !== sighting.podUid;
      if (roleOf(holder) === group && isOther) found.push(`${place(sighting)}: ACTIVE beside ${holder.key} (I5)`);
    }
    active.set(role, sighting);
    const term = Number(value?.metadata['stickyTerm']);
    const last = terms.get(role) ?? 0;
    const isPromotion = before?.podUid !== sighting.podUid;
    const grows = term > last;
    const goesOn = term === last;
    if (!(isPromotion ? grows : goesOn || (grows && mayHaveLapsed(before, sighting))))
      found.push(`${place(sighting)}: term ${term} after ${last} (I5)`);
    terms.set(role, term);
  }
  return found;
};

/** By then the one before had outlived its TTL: it may have lapsed, and the marker been replaced before it was seen. */
const mayHaveLapsed = (before: Sighting, sighting: Sighting): boolean =>
  sighting.storedAtMs > before.storedAtMs + Number(before.headers['Nats-TTL']) * 1_000;

/** What separates the parts of a key. */
const formOf = (key: string): string => KEY.exec(key)?.[1] ?? '';

/** The sticky group that a value of ours says ACTIVE for, per installation. */
export const roleOf = (sighting: Sighting): string | undefined => {
  const { value } = sighting;
  if (!isInstance(sighting) || value?.status !== 'ACTIVE' || value.stickyActiveGroup === null) return undefined;
  return `${installationOf(sighting)}/${value.serviceName}/${value.stickyActiveGroup}`;
};

/** I7: nothing of ours on a subject that is neither an instance nor our lock. */
export const strayWrites = (record: readonly Sighting[]): readonly string[] =>
  record
    .filter((sighting) => isOurs(sighting) && !KEY.test(sighting.key ?? ''))
    .filter(({ subject }) => !/^\$ROLLCALL\.[^.]+\.[^.]+\.(lock|replica\..+)$/.test(subject))
    .map((sighting) => `${place(sighting)}: not a subject of ours (I7)`);

/**
 * I1: keys that vanished although their pod was Ready: by the server's marker, by a removal, or without a trace, when
 * the key is registered anew where an ACTIVE one stood.
 */
export const lapses = ({ messages }: Recorded, wasReady: WasReady, from = 0): readonly Lapse[] => {
  const standing = new Map<string, Sighting>();
  const found: Lapse[] = [];
  messages.forEach((sighting, index) => {
    const { key, storedAtMs } = sighting;
    if (key === undefined) return;
    const before = standing.get(key);
    if (isInstance(sighting)) standing.set(key, sighting);
    else standing.delete(key);
    if (before === undefined || index < from || !wasReady(before.podUid, storedAtMs)) return;
    const anew = before.value?.status === 'ACTIVE' && sighting.headers['Rollcall-Reason'] === 'Registered';
    if (isInstance(sighting) && !(anew && before.podUid === sighting.podUid)) return;
    const how = isInstance(sighting) ? 'registered anew' : sighting.operation;
    const ageMs = Math.round(storedAtMs - before.storedAtMs);
    const sentence = `${place(sighting)}: ${how}, ${ageMs} ms after ${before.value?.status} (seq ${before.seq})`;
    found.push({ key, podUid: before.podUid, storedAtMs, sentence });
  });
  return found;
};

/** Values that call a pod UNHEALTHY although it was Ready. */
export const slanders = ({ messages }: Recorded, wasReady: WasReady, from = 0): readonly string[] =>
  messages
    .slice(from)
    .filter((sighting) => isInstance(sighting) && sighting.value?.status === 'UNHEALTHY')
    .filter(({ podUid, storedAtMs }) => wasReady(podUid, storedAtMs))
    .map((sighting) => `${place(sighting)}: UNHEALTHY, by reason ${sighting.headers['Rollcall-Reason']}`);

/**
 * The longest time that a key of a live pod stood without a write, from the mark to the end of the record; keys that vanished
 * count up to then. What stood before the mark counts from its last write. `livesUntil`: when the pod of such a message
 * ceased to be Ready, by the server's clock; a key that is let go counts up to then.
 */
export const oldestRefresh = (
  { messages }: Recorded,
  from = 0,
  livesUntil: (sighting: Sighting) => number = () => Number.POSITIVE_INFINITY,
): { readonly ageMs: number; readonly key: string } => {
  const standing = new Map<string, Sighting>();
  let oldest = { ageMs: 0, key: 'none' };
  const consider = (before: Sighting, untilMs: number) => {
    const ageMs = Math.min(untilMs, livesUntil(before)) - before.storedAtMs;
    if (ageMs > oldest.ageMs) oldest = { ageMs, key: before.key ?? '' };
  };
  messages.forEach((sighting, index) => {
    const { key } = sighting;
    if (key === undefined) return;
    const before = standing.get(key);
    if (before !== undefined && index >= from) consider(before, sighting.storedAtMs);
    const isUp = sighting.value?.status === 'ACTIVE' || sighting.value?.status === 'STANDBY';
    if (isInstance(sighting) && isUp) standing.set(key, sighting);
    else standing.delete(key);
  });
  for (const before of standing.values()) consider(before, messages.at(-1)?.storedAtMs ?? 0);
  return oldest;
};

/** For each key that lapsed since the mark: how long after its last write, in ms. */
export const lapseDelays = ({ messages }: Recorded, from = 0): readonly number[] => {
  const last = new Map<string, Sighting>();
  const delays: number[] = [];
  messages.forEach((sighting, index) => {
    if (sighting.key === undefined) return;
    const before = last.get(sighting.key);
    if (sighting.operation === 'MaxAge' && before !== undefined && index >= from) {
      delays.push(sighting.storedAtMs - before.storedAtMs);
    }
    last.set(sighting.key, sighting);
  });
  return delays;
};

const installationOf = ({ subject, headers }: Sighting): string =>
  subject.startsWith('$ROLLCALL.') ? (subject.split('.')[2] ?? '') : (headers['Rollcall-Owner']?.split('/')[0] ?? '');

const place = ({ seq, key, subject }: Sighting): string => `seq ${seq}, ${key ?? subject}`;
