// NATS servers that die, stand still or lose each other, and a bucket that somebody empties.

import { z } from 'zod';
import type { NatsServer } from '../../../hack/control-plane/nats.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { type FaultCase, type Figure, longest } from '../fault-case.ts';
import type { Play } from '../play.ts';
import { BUCKET } from '../stage.ts';

const OLDEST_REFRESH_MS = 22_000;

/** The server that leads the stream; waits for one. */
export const streamLeader = (play: Play): Promise<NatsServer> =>
  waitFor(
    'a leader of the stream',
    async () => {
      const name = await play.observer.streamLeader();
      return play.stage.nats.find((server) => server.name === name && server.process.running);
    },
    { deadlineMs: 60_000, intervalMs: 100 },
  );

/** Kills servers, waits until the stream has a leader again, and starts them again. Resolves with the ms without one. */
export const killServers = async (
  play: Play,
  servers: readonly NatsServer[],
  beside: () => Promise<unknown> = async () => {},
) => {
  const names = servers.map(({ name }) => name).join(', ');
  return play.fault(`kill -9 ${names}`, 'registry', async () => {
    const sinceMs = play.now();
    await Promise.all([...servers.map(({ process }) => process.kill('SIGKILL')), beside()]);
    await streamLeader(play);
    return play.now() - sinceMs;
  });
};

/** A server that was away has to catch up before the next one may go. */
export const restarted = async (play: Play, servers: readonly NatsServer[]): Promise<void> => {
  await Promise.all(servers.map(({ process }) => process.restart()));
  for (const { monitorUrl } of servers) {
    await waitFor('the server to be healthy', async () => (await fetch(`${monitorUrl}/healthz`)).ok, {
      deadlineMs: 60_000,
    });
  }
  await streamLeader(play);
};

/**
 * What a crashed server brings back (values whose marker is gone) is on that server alone, where a reader is told of them by
 * chance. Waits until all have the same number of messages up to the same one, which the audit sees to.
 */
export const serversAgree = async (play: Play): Promise<Figure> => {
  play.progress('until every server holds the same');
  const sinceMs = play.now();
  const states = () => Promise.all(play.stage.nats.map(({ monitorUrl }) => stateOf(monitorUrl)));
  await waitFor('every server to hold the same', async () => new Set(await states()).size === 1, {
    deadlineMs: AGREED_MS,
    intervalMs: 250,
  }).catch(() => undefined);
  return longest('until every server held the same', [play.now() - sinceMs], AGREED_MS);
};

/** By the server's own word, not the stream leader's: its last sequence and how many messages it has of the bucket. */
const stateOf = async (monitorUrl: string): Promise<string> => {
  const answer = await fetch(`${monitorUrl}/jsz?accounts=true&streams=true`);
  const { account_details: accounts = [] } = jszSchema.parse(await answer.json());
  const stream = accounts.flatMap(({ stream_detail: streams = [] }) => streams).find(({ name }) => name === STREAM);
  return stream === undefined ? `none at ${monitorUrl}` : `${stream.state.last_seq}: ${stream.state.messages}`;
};

const STREAM = `KV_${BUCKET}`;
/** One audit a minute, on one of three servers. */
const AGREED_MS = 300_000;
const jszSchema = z.object({
  account_details: z
    .array(
      z.object({
        stream_detail: z
          .array(z.object({ name: z.string(), state: z.object({ messages: z.number(), last_seq: z.number() }) }))
          .optional(),
      }),
    )
    .optional(),
});

const leaderKilled: FaultCase = {
  id: 'F19',
  fault: 'kill -9 the stream leader of three servers 10 times, then each server in turn',
  stage: { nats: 'three servers' },
  seconds: 200,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: OLDEST_REFRESH_MS,
  run: async (play) => {
    const without: number[] = [];
    const whole: number[] = [];
    const kills = play.short ? 2 : 10;
    const turns = [...Array.from({ length: kills }, () => undefined), ...(play.short ? [] : play.stage.nats)];
    for (const [turn, server] of turns.entries()) {
      play.progress(`kill ${turn + 1} of ${turns.length}`);
      const victim = server ?? (await streamLeader(play));
      without.push(await killServers(play, [victim]));
      const sinceMs = play.now();
      // Kills that follow sooner would be one outage of all their length.
      whole.push((await play.observer.written(sinceMs, 60_000)) - sinceMs);
      await restarted(play, [victim]);
    }
    return [
      { name: 'longest without a stream leader', value: Math.max(...without), unit: 'ms' },
      { name: 'longest from then until every key was written', value: Math.max(...whole), unit: 'ms' },
      await serversAgree(play),
    ];
  },
};

/** The server that the leading operator is connected to, by its log. */
const clientsServer = async (play: Play): Promise<NatsServer> => {
  const { leader } = await play.leaderAndStandby();
  const line = leader.operator.log().findLast(({ msg }) => msg === 'connected to NATS');
  const found = play.stage.nats.find(({ port }) => String(line?.['server']).endsWith(`:${port}`));
  if (found === undefined) throw new Error('the leader does not say where it is connected');
  return found;
};

const serverPaused: FaultCase = {
  id: 'F20',
  fault: 'SIGSTOP the NATS server that the leader uses, one of three, for 40 s',
  shortened: '40 s rather than 60: longer than a TTL',
  stage: { nats: 'three servers' },
  seconds: 70,
  lapsesAtMost: 0,
  run: async (play) => {
    const server = await clientsServer(play);
    const sinceMs = play.now();
    await play.fault(`${server.name} stands still`, 'none', async () => {
      server.process.pause();
      try {
        await play.pause(40_000);
      } finally {
        server.process.resume();
      }
    });
    await streamLeader(play);
    return [longest('gap', [await play.observer.lockGap(sinceMs)], 8_000)];
  },
};

const quorumLost: FaultCase = {
  id: 'F22',
  fault: 'two of three NATS servers killed for 10, 25 and 60 s',
  stage: { nats: 'three servers' },
  seconds: 160,
  run: async (play) => {
    const back: number[] = [];
    const lapsed: number[] = [];
    for (const seconds of [10, 25, 60]) {
      const [one, two] = play.stage.nats;
      if (one === undefined || two === undefined) throw new Error('there are not three servers');
      const writableMs = await play.fault(`no quorum for ${seconds} s`, 'registry', async () => {
        const sinceMs = play.now();
        await Promise.all([one, two].map(({ process }) => process.kill('SIGKILL')));
        await play.pause(sinceMs + seconds * 1_000 - play.now());
        await Promise.all([one, two].map(({ process }) => process.restart()));
        await streamLeader(play);
        return play.now();
      });
      const lastMs = await play.observer.written(writableMs - 1_000, 60_000);
      if (seconds === 60) back.push(lastMs - writableMs);
      await restarted(play, []);
      await play.pause(5_000);
      lapsed.push((await play.judgeSoFar()).lapses);
    }
    return [
      { name: 'lapses of the outage of 10 s', value: lapsed[0] ?? Number.NaN, unit: '', atMost: 0 },
      longest('all keys back after 60 s', back, 5_000),
      await serversAgree(play),
    ];
  },
};

const purged: FaultCase = {
  id: 'F28',
  fault: 'the bucket purged; a range of subjects purged by hand',
  stage: { nats: 'one server' },
  seconds: 40,
  short: true,
  run: async (play) => {
    const whole = await play.fault('the bucket is purged', 'keys', () => play.observer.purge(undefined, 30_000));
    await play.pause(5_000);
    const range = `$KV.${BUCKET}.service-instances.service-1-2.>`;
    const part = await play.fault(`${range} is purged`, 'keys', () => play.observer.purge(range, 30_000));
    return [longest('bucket refilled', [whole], 3_000), longest('range refilled', [part], 11_000)];
  },
};

export const oneServerCases: readonly FaultCase[] = [purged];
export const threeServerCases: readonly FaultCase[] = [leaderKilled, serverPaused, quorumLost];
