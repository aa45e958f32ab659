// An API server's door that a test can guard: everything passes through to the real one, until the test spoils answers.
// It speaks HTTP, with the real server's own certificate, so clients notice nothing. Breaks no connections: tcp-proxy.ts does.

import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, request } from 'node:https';
import { join } from 'node:path';
import { z } from 'zod';

export type ApiGate = {
  readonly port: number;
  /** Ends every watch of pods as an API server does that has forgotten where it began: ERROR 410. */
  expire(): void;
  /** While on, lists of pods are complete and empty, and so is what a watch begins with; old watches expire first. */
  showNoPods(on: boolean): void;
  close(): Promise<void>;
};

const PODS = '/api/v1/pods';
const NEW_LINE = 10;
const listSchema = z.looseObject({});
const expired = {
  type: 'ERROR',
  object: {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'too old resource version',
    reason: 'Expired',
    code: 410,
  },
};

export async function startApiGate(target: { readonly url: string; readonly certDir: string }): Promise<ApiGate> {
  const [cert, key] = await Promise.all(
    ['apiserver.crt', 'apiserver.key'].map((name) => readFile(join(target.certDir, name))),
  );
  const { hostname, port } = new URL(target.url);
  const agent = new Agent({ keepAlive: true, ca: cert });
  const watches = new Set<PodWatchStream>();
  let noPods = false;

  const server = createServer({ cert, key }, (asked, answer) => {
    const url = new URL(asked.url ?? '/', target.url);
    const isWatch = url.pathname === PODS && url.searchParams.get('watch') !== null;
    const upstream = request(
      { hostname, port, agent, method: asked.method, path: asked.url, headers: asked.headers },
      (real) => {
        const spoiled = noPods && url.pathname === PODS && isFirstLook(url);
        if (spoiled && !isWatch) return void answerEmpty(real, answer);
        answer.writeHead(real.statusCode ?? 502, real.headers);
        answer.flushHeaders();
        if (!isWatch || real.statusCode !== 200) return void real.pipe(answer);
        const watch = new PodWatchStream(real, answer, spoiled);
        watches.add(watch);
        answer.once('close', () => watches.delete(watch));
      },
    );
    upstream.on('error', () => answer.destroy());
    answer.on('error', () => {});
    answer.once('close', () => upstream.destroy());
    asked.pipe(upstream);
  });
  const listening = await new Promise<number>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('the gate listens on no port'));
      else resolve(address.port);
    });
  });
  const expire = () => {
    for (const watch of watches) watch.expire();
  };
  return {
    port: listening,
    expire,
    showNoPods: (on) => {
      noPods = on;
      expire();
    },
    close: () => {
      agent.destroy();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

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

/** A watch on its way through, line by line; it can leave out the pods. */
class PodWatchStream {
  readonly #real: IncomingMessage;
  readonly #answer: ServerResponse;
  readonly #hidesPods: boolean;
  #rest = Buffer.alloc(0);

  constructor(real: IncomingMessage, answer: ServerResponse, hidesPods: boolean) {
    this.#real = real;
    this.#answer = answer;
    this.#hidesPods = hidesPods;
    real.on('data', (piece) => this.#take(Buffer.from(piece)));
    real.once('end', () => answer.end());
    real.once('error', () => answer.destroy());
    real.once('aborted', () => answer.destroy());
  }

  expire(): void {
    // Whole lines only are written, so any moment is between two.
    this.#answer.end(`${JSON.stringify(expired)}\n`);
    this.#real.destroy();
  }

  #take(piece: Buffer): void {
    if (this.#answer.writableEnded) return;
    this.#rest = Buffer.concat([this.#rest, piece]);
    const end = this.#rest.lastIndexOf(NEW_LINE) + 1;
    const lines = this.#rest.subarray(0, end);
    this.#rest = this.#rest.subarray(end);
    if (end > 0) this.#answer.write(this.#hidesPods ? bookmarksOf(lines) : lines);
  }
}

const bookmarksOf = (lines: Buffer): string =>
  lines
    .toString('utf8')
    .split('\n')
    .filter((line) => line.startsWith('{"type":"BOOKMARK"'))
    .map((line) => `${line}\n`)
    .join('');
