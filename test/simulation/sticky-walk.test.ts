// Random walks of the members of two sticky groups: pods come and go, change groups and key layouts, and the server will
// not have some of their keys. Every prefix of the stream is judged by what it says and nothing else.

import { expect, test } from 'vitest';
import type { KeyLayout } from '../../src/domain/names.ts';
import { objectKey } from '../../src/domain/pod.ts';
import { aWish, away, uidOf } from '../support/wishes.ts';
import { WriterBench } from '../support/writer-bench.ts';
import { seeded } from './support/seeded.ts';

const WALKS = Number(process.env['WALKS'] ?? 40);
const FIRST = Number(process.env['WALK'] ?? 1);
const STEPS = 40;
const PODS = ['a', 'b', 'c', 'd'];
const GROUPS = ['blue', 'green'] as const;
/** I5 says 2 s; the judge looks every 0.25 s, and a row that was put off waits for a tick of the wheel. */
const WITHOUT_MS = 2_750;

/** Four keys ask within 3 s, and four pods there are; a tick and the walk's own step come on top. */
const ASKS_MS = 3_750;

type Member = {
  group: string | null;
  layout: KeyLayout;
  state: 'Ready' | 'away' | 'gone';
  whenNotReady: 'MarkUnhealthy' | 'Lapse' | 'Remove';
  large: boolean;
  denied: boolean;
  /** When anything of it changed. */
  sinceMs: number;
  /** When the operator must know that its keys are not denied any more. */
  allowedMs: number;
};

/** What the stream says at this position: the pods that are ACTIVE per group. */
class Said {
  readonly #bySubject = new Map<string, { readonly uid: string; readonly group: string }>();
  #read = 0;

  /** Reads on. Returns a sentence for each position at which two pods are ACTIVE. */
  follow({ stream }: WriterBench): readonly string[] {
    const found: string[] = [];
    const history = stream.history();
    for (; this.#read < history.length; this.#read += 1) {
      const entry = history[this.#read];
      if (entry?.kind !== 'stored') {
        if (entry !== undefined) this.#bySubject.delete(entry.subject);
        continue;
      }
      const { subject, operation, body, headers, revision } = entry.message;
      this.#bySubject.delete(subject);
      if (operation !== 'PUT' || body.length === 0) continue;
      const value = JSON.parse(Buffer.from(body).toString()) as { status: string; stickyActiveGroup: string | null };
      if (value.status !== 'ACTIVE' || value.stickyActiveGroup === null) continue;
      const uid = headers['Rollcall-Owner']?.split('/')[3] ?? '';
      this.#bySubject.set(subject, { uid, group: value.stickyActiveGroup });
      const active = this.of(value.stickyActiveGroup);
      if (active.size > 1) found.push(`seq ${revision}: ${active.size} are ACTIVE of ${value.stickyActiveGroup}`);
    }
    return found;
  }

  of(group: string): ReadonlySet<string> {
    return new Set([...this.#bySubject.values()].flatMap((said) => (said.group === group ? said.uid : [])));
  }
}

const walk = async (seed: number): Promise<readonly string[]> => {
  const random = seeded(seed);
  const pick = <T>(values: readonly T[]): T => {
    const value = values[Math.floor(random() * values.length)];
    if (value === undefined) throw new RangeError('nothing to pick from');
    return value;
  };
  const bench = new WriterBench(random);
  const { clock, stream } = bench;
  stream.maxMessageBytes = 600;
  const { table, writer, stop, ended } = bench.replica('r');
  await clock.until(() => writer.leading, 30_000);
  const members = new Map<string, Member>();
  const said = new Said();
  const found: string[] = [];
  const lastActiveMs = new Map<string, number>(GROUPS.map((group) => [group, clock.monotonicMs()]));

  const tell = (name: string, member: Member) => {
    member.sinceMs = clock.monotonicMs();
    const uid = uidOf(name);
    const made = aWish({
      podName: name,
      keyLayout: member.layout,
      whenNotReady: member.whenNotReady,
      state: member.state === 'Ready' ? { kind: 'live' } : away(),
      version: member.large ? `1.0.0-${'x'.repeat(600)}` : '1.0.0',
    });
    const wish = { ...made, content: { ...made.content, stickyActiveGroup: member.group } };
    table.setWishes(
      objectKey('trading', name),
      member.state === 'gone' ? undefined : uid,
      member.state === 'gone' ? [] : [wish],
    );
  };
  const deny = () => {
    const ids = [...members].flatMap(([name, { denied }]) => (denied ? uidOf(name).slice(0, 8) : []));
    stream.denied = ids.length === 0 ? undefined : new RegExp(`(${ids.join('|')})$`);
  };
  const step = () => {
    const name = pick(PODS);
    const member = members.get(name) ?? {
      group: pick(GROUPS),
      layout: 'Dotted',
      state: 'Ready',
      whenNotReady: pick(['MarkUnhealthy', 'Lapse', 'Remove'] as const),
      large: false,
      denied: false,
      sinceMs: 0,
      allowedMs: 0,
    };
    const isNew = !members.has(name);
    members.set(name, member);
    if (!isNew) {
      const what = pick([
        'group',
        'group',
        'layout',
        'all',
        'state',
        'state',
        'large',
        'denied',
        'swap',
        'swap',
      ] as const);
      if (what === 'group') member.group = pick([...GROUPS, null]);
      if (what === 'layout') member.layout = pick(['Dotted', 'Underscore', 'DoubleUnderscore'] as const);
      if (what === 'state') member.state = member.state === 'Ready' ? pick(['away', 'gone'] as const) : 'Ready';
      if (what === 'large') member.large = !member.large;
      if (what === 'denied') member.denied = !member.denied;
      // A right that was granted shows when a key asks for it.
      if (what === 'denied') member.allowedMs = clock.monotonicMs() + ASKS_MS;
      if (what === 'all' || what === 'swap') {
        const layout = pick(['Dotted', 'Underscore', 'DoubleUnderscore'] as const);
        for (const [other, it] of members) {
          it.layout = layout;
          if (what === 'swap' && it.group !== null) it.group = it.group === 'blue' ? 'green' : 'blue';
          if (other !== name) tell(other, it);
        }
      }
    }
    deny();
    tell(name, member);
  };
  const judge = () => {
    found.push(...said.follow(bench));
    const nowMs = clock.monotonicMs();
    for (const group of GROUPS) {
      const since = [...members.values()].flatMap(({ sinceMs, allowedMs, state, large, denied, ...member }) =>
        member.group === group && state === 'Ready' && !large && !denied ? Math.max(sinceMs, allowedMs) : [],
      );
      const withoutMs = nowMs - Math.max(lastActiveMs.get(group) ?? 0, Math.min(...since));
      if (said.of(group).size > 0 || since.length === 0) lastActiveMs.set(group, nowMs);
      else if (withoutMs > WITHOUT_MS) {
        found.push(`at ${nowMs}: nobody of ${group} is ACTIVE for ${withoutMs} ms`);
        lastActiveMs.set(group, nowMs);
      }
    }
  };
  for (let i = 0; i < STEPS && found.length === 0; i += 1) {
    step();
    if (random() < 0.3) step();
    const endMs = clock.monotonicMs() + pick([0, 5, 500, 3_000, 12_000, 45_000]);
    do {
      await clock.advance(Math.min(250, Math.max(0, endMs - clock.monotonicMs())));
      judge();
    } while (clock.monotonicMs() < endMs);
  }
  stop.abort();
  await clock.advance(1_000);
  await ended;
  found.push(...said.follow(bench));
  stream.close();
  return found;
};

test(`${WALKS} walks from WALK=${FIRST}: never two ACTIVE, and one while a member can be written`, async () => {
  for (let seed = FIRST; seed < FIRST + WALKS; seed += 1) {
    expect(await walk(seed), `WALK=${seed}`).toEqual([]);
  }
});
