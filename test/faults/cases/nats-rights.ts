// Rights on the NATS server that are taken away, and a password that changes.

import { waitFor } from '../../../hack/control-plane/wait.ts';
import { saying, untilSaid } from '../conditions.ts';
import { type FaultCase, longest } from '../fault-case.ts';
import type { NatsUsers } from '../nats-users.ts';
import type { Play } from '../play.ts';

const REASONS = ['RegistryDenied', 'RegistryUnavailable'];
const SAID_MS = 15_000;
const RECOVERY_MS = 5_000;
/** To write keys and the lock, to look at the stream, to read a message and all of them, to hear: else nothing was taken away. */
const RIGHTS_MISSED_MIN = 6;

type Spell = { readonly saidMs: number | undefined; readonly recoveryMs: number };

/** Breaks it, waits until a resource says so, mends it, and waits until every pod has its key and none says so. */
const spell = async (play: Play, breaking: () => Promise<void>, mending: () => Promise<void>): Promise<Spell> => {
  const sinceMs = play.now();
  await breaking();
  const saidMs = (await untilSaid(play, REASONS, sinceMs, SAID_MS)) ?? (await unlessMissed(play, sinceMs));
  const mendedMs = play.now();
  await mending();
  const wholeMs = await play.observer.whole(mendedMs);
  // Or the next outage would add to this one.
  await play.observer.written(mendedMs);
  await waitFor('nobody to say so any more', async () => (await saying(play, REASONS)) === 0, { deadlineMs: 20_000 });
  return { saidMs, recoveryMs: wholeMs - mendedMs };
};

/** A right that nobody misses does no harm: every key has been written since. Else it should have been said. */
const unlessMissed = async (play: Play, sinceMs: number): Promise<number | undefined> => {
  try {
    await play.observer.written(sinceMs, 1_000);
    return undefined;
  } catch {
    return Number.NaN;
  }
};

/** A new leader needs more rights than one that leads already. */
const handOver = async (play: Play): Promise<void> => {
  const { leader } = await play.leaderAndStandby();
  await leader.operator.process.kill('SIGTERM');
  // Who lacks a right may not get ready.
  await leader.operator.process.restartUnready();
};

const rights: FaultCase = {
  id: 'F31',
  fault: 'each NATS right removed in turn and the leader replaced; the password rotated',
  stage: { nats: 'one with users' },
  seconds: 240,
  run: async (play) => {
    const { users } = play.stage;
    if (users === undefined) throw new Error('the NATS server has no users');
    const spells: Spell[] = [];
    const unmissed: string[] = [];
    for (const right of users.rights) {
      const one = await play.fault(`without ${right}`, 'registry', () =>
        spell(
          play,
          () => takeAway(play, users, right),
          () => users.restore(),
        ),
      );
      if (one.saidMs === undefined) unmissed.push(right);
      spells.push(one);
      await play.pause(2_000);
    }
    const rotated = await play.fault('the password is rotated', 'registry', () =>
      spell(
        play,
        () => users.rotatePassword(),
        () => users.tellPassword(),
      ),
    );
    play.progress(`not missed: ${unmissed.join(', ')}`);
    const said = [...spells.flatMap(({ saidMs }) => saidMs ?? []), rotated.saidMs ?? Number.NaN];
    const recoveries = [...spells, rotated].map(({ recoveryMs }) => recoveryMs);
    return [
      longest('condition', said, SAID_MS),
      longest('recovery', recoveries, RECOVERY_MS),
      {
        name: `rights of ${users.rights.length} that are missed`,
        value: users.rights.length - unmissed.length,
        atLeast: RIGHTS_MISSED_MIN,
        unit: '',
      },
    ];
  },
};

const takeAway = async (play: Play, users: NatsUsers, right: string): Promise<void> => {
  await users.takeAway(right);
  await handOver(play);
};

export const natsRightsCases: readonly FaultCase[] = [rights];
