// Hours of whatever the other cases do, in random order, with one operator that lives through all of it.

import type { FaultCase, Figure } from '../fault-case.ts';
import { holds } from '../fault-case.ts';
import type { Play } from '../play.ts';
import { PODS } from '../stage.ts';
import { Wear } from '../wear.ts';
import { apiAnswerCases } from './api-answers.ts';
import { apiServerCases } from './api-server.ts';
import { clockCases } from './clocks.ts';
import { oneServerCases } from './nats.ts';
import { natsBucketCases } from './nats-bucket.ts';
import { natsNetworkCases } from './nats-network.ts';
import { partitionCases } from './partitions.ts';
import { stickyCases } from './sticky.ts';

/** Longer ones leave too little time for others. */
const PART_SECONDS_MAX = 160;
const QUIET_MS = 20_000;

/** The other operator is killed, or ended politely, and started again; this one has to do the work meanwhile, or goes on. */
const otherEnded: FaultCase = {
  id: 'F01',
  fault: 'the other operator ends',
  stage: { nats: 'one server' },
  seconds: 20,
  run: async (play) => {
    const [, other] = play.stage.replicas;
    if (other === undefined) throw new Error('there is only one operator');
    await play.blow('the other operator ends', async () => {
      await other.operator.process.kill(Math.random() < 0.5 ? 'SIGKILL' : 'SIGTERM');
      await play.pause(Math.random() * 10_000);
      await other.operator.process.restart();
    });
    return [];
  },
};

const soak: FaultCase = {
  id: 'F45',
  fault: 'soak: the faults of the other cases on one NATS server in random order, one operator living through all',
  stage: { nats: 'one server', inside: true },
  seconds: 3_600,
  apart: true,
  run: async (play) => {
    const parts = [
      otherEnded,
      ...apiServerCases,
      ...apiAnswerCases,
      ...clockCases,
      ...oneServerCases,
      ...natsBucketCases,
      ...natsNetworkCases,
      ...partitionCases,
      ...stickyCases,
    ].filter(isPart);
    const [survivor] = play.operators;
    if (survivor === undefined) throw new Error('there is no operator');
    const wear = new Wear(survivor, play.stage.dir);
    const endMs = play.now() + play.minutes * 60_000;
    const missed: string[] = [];
    let played = 0;
    let bag: FaultCase[] = [];
    while (play.now() < endMs) {
      if (bag.length === 0) bag = shuffled(parts);
      const one = bag.pop();
      if (one === undefined) break;
      played += 1;
      play.progress(`${one.id}, the ${played}. of ${Math.round((endMs - play.now()) / 60_000)} minutes more`);
      missed.push(...(await playPart(play, one)));
    }
    return [
      { name: 'faults played', value: played, unit: '' },
      {
        name: missed.length === 0 ? 'figures missed' : `figures missed: ${missed.join('; ')}`,
        value: missed.length,
        unit: '',
        atMost: 0,
      },
      ...(await wear.figures()),
    ];
  },
};

/** What can be played on this stage, and leaves it as it was. */
const isPart = ({ stage, seconds, leaves }: FaultCase): boolean => {
  const { nats, inside: _, ...others } = stage;
  return (
    nats === 'one server' && Object.keys(others).length === 0 && seconds <= PART_SECONDS_MAX && leaves === undefined
  );
};

/** The case, a while in which nothing is broken, and the verdict on both; returns what it missed of its own figures. */
const playPart = async (play: Play, one: FaultCase): Promise<readonly string[]> => {
  const figures = await one.run(play.part());
  await play.observer.replenish(PODS);
  await play.observer.churn(true);
  await play.pause(QUIET_MS);
  const { lapses } = await play.judgeSoFar();
  const limit = one.lapsesAtMost;
  const all: readonly Figure[] = [
    ...figures,
    { name: 'lapses', value: lapses, unit: '', ...(limit === undefined ? {} : { atMost: limit }) },
  ];
  return all.filter((figure) => !holds(figure)).map(({ name, value }) => `${one.id} ${name} ${Math.round(value)}`);
};

const shuffled = <T>(items: readonly T[]): T[] =>
  items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);

export const soakCases: readonly FaultCase[] = [soak];
