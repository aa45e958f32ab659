// An API server's door that a test can guard: everything passes through to the real one, until the test spoils answers.
// It speaks HTTP, with the real server's own certificate, so clients notice nothing. Breaks no connections: tcp-proxy.ts does.

import { readFile } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Agent, createServer, request } from 'node:https';
import { join } from 'node:path';
import { z } from 'zod';
import { Refusals } from './api-refusals.ts';
import { GatedWatch, type LineFate, type WatchWeather } from './gated-watch.ts';

export type ApiGate = {
  /** One door for each client that is to be told apart. */
  readonly ports: readonly number[];
  readonly refusals: Refusals;
  /** Ends every watch of pods as an API server does that has forgotten where it began: ERROR 410. */
  expire(): void;
  /** While on, lists of pods are complete and empty, and so is what a watch begins with; old watches expire first. */
  showNoPods(on: boolean): void;
  /** While on, watches of pods say nothing, old ones and new ones; everything else answers. */
  silence(on: boolean): void;
  /** What becomes of each line of a watch of pods; undefined: it passes. */
  spoilLines(fateOf: (() => LineFate) | undefined): void;
  close(): Promise<void>;
};

const PODS = '/api/v1/pods';
const PASS = () => 'pass' as const;
const listSchema = z.looseObject({});

export async function startApiGate(target: {
  readonly url: string;
  readonly certDir: string;
  readonly doors: number;
}): Promise<ApiGate> {
  const [cert, key] = await Promise.all(
    ['apiserver.crt', 'apiserver.key'].map((name) => readFile(join(target.certDir, name))),
  );
  const { hostname, port } = new URL(target.url);
  const agent = new Agent({ keepAlive: true, ca: cert });
  const watches = new Set<GatedWatch>();
  const weather: WatchWeather = { silent: false, fateOf: PASS };
  const refusals = new Refusals();
  let noPods = false;

  const guard =
    (door: number): RequestListener =>
    (asked, answer) => {
      const url = new URL(asked.url ?? '/', target.url);
      const isWatch = url.pathname === PODS && url.searchParams.get('watch') !== null;
      answer.on('error', () => {});
      if (refusals.answer(door, asked, answer, url)) return;
      const upstream = request(
        { hostname, port, agent, method: asked.method, path: asked.url, headers: asked.headers },
        (real) => {
          const spoiled = noPods && url.pathname === PODS && isFirstLook(url);
          if (spoiled && !isWatch) return void answerEmpty(real, answer);
          answer.writeHead(real.statusCode ?? 502, real.headers);
          answer.flushHeaders();
          if (!isWatch || real.statusCode !== 200) return void real.pipe(answer);
          const watch = new GatedWatch(real, answer, spoiled, weather);
          watches.add(watch);
          answer.once('close', () => watches.delete(watch));
        },
      );
      upstream.on('error', () => answer.destroy());
      answer.once('close', () => upstream.destroy());
      asked.pipe(upstream);
    };
  const servers = Array.from({ length: target.doors }, (_, door) => createServer({ cert, key }, guard(door)));
  const ports = await Promise.all(servers.map(listen));
  const expire = () => {
    for (const watch of watches) watch.expire();
  };
  return {
    ports,
    refusals,
    expire,
    showNoPods: (on) => {
      noPods = on;
      expire();
    },
    silence: (on) => {
      weather.silent = on;
      if (!on) for (const watch of watches) watch.release();
    },
    spoilLines: (fateOf = PASS) => {
      weather.fateOf = fateOf;
    },
    close: async () => {
      agent.destroy();
      await Promise.all(servers.map(close));
    },
  };
}

type GateServer = ReturnType<typeof createServer>;

const listen = (server: GateServer): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('the gate listens on no port'));
      else resolve(address.port);
    });
  });

const close = (server: GateServer): Promise<void> => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
};

/** A list, or a watch that begins with one. The probe of a single object is for freshness only, and passes. */
const isFirstLook = ({ searchParams }: URL): boolean =>
  searchParams.get('watch') === null
    ? searchParams.get('limit') !== '1'
    : searchParams.get('sendInitialEvents') === 'true';

const answerEmpty = async (real: IncomingMessage, answer: ServerResponse): Promise<void> => {
  const parts: Buffer[] = [];
  for await (const part of real) parts.push(Buffer.from(part));
  const list = listSchema.parse(JSON.parse(Buffer.concat(parts).toString('utf8')));
  answer.writeHead(real.statusCode ?? 200, { 'content-type': 'application/json' });
  answer.end(JSON.stringify({ ...list, items: [] }));
};
