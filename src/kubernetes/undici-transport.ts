// The API transport over HTTP/1.1 with undici: a pool for requests, one for short watches, and a connection of its own for
// each long one. Speaks HTTP and TLS; does not know resources, retries nothing but a refused credential, and never reads an
// object.

import { buildConnector, Client, type Dispatcher, Pool } from 'undici';
import type { Clock } from '../clock.ts';
import {
  ApiError,
  type ApiRequest,
  type ApiResponse,
  type ApiStream,
  type ApiTransport,
  field,
  type Query,
  type StreamRequest,
} from './api-transport.ts';
import { type Access, type CredentialOptions, Credentials, findAccess } from './credentials.ts';
import { LinkedAbort } from './linked-abort.ts';

export type UndiciTransportOptions = CredentialOptions & { readonly clock: Clock; readonly version: string };

export type ClosableTransport = ApiTransport & {
  /** `https://host:port` of the API server. */
  readonly origin: string;
  close(): Promise<void>;
};

/** Requests beyond this wait for each other. */
const POOL_CONNECTIONS = 12;
/** Each is busy for the seconds that a short watch takes, and each source opens one every five: no request waits behind them. */
const WATCH_CONNECTIONS = 128;
const CONNECT_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const STREAM_TIMEOUT_MS = 30_000;
const TCP_KEEPALIVE_MS = 30_000;
/** The API server closes idle connections after 90 s. */
const IDLE_MS = 30_000;

/** @throws Error with a sentence when there is no way to find the API server or to read the credentials */
export async function connectApi(options: UndiciTransportOptions): Promise<ClosableTransport> {
  const credentials = new Credentials(await findAccess(options), options.clock);
  const { origin } = await credentials.current();
  return new UndiciTransport(origin, credentials, options.clock, options.version);
}

/** Everything that hangs on one TLS identity. Replaced as a whole when a certificate or the CA has changed. */
type Channel = {
  readonly access: Access;
  readonly connector: buildConnector.connector;
  readonly pool: Pool;
  /** For short watches. */
  readonly watches: Pool;
};

class UndiciTransport implements ClosableTransport {
  readonly origin: string;
  readonly #credentials: Credentials;
  readonly #clock: Clock;
  readonly #userAgent: string;
  #channel: Channel | undefined;
  /** Pools that are no longer used, each with the promise of its end. */
  readonly #retired = new Map<Pool, Promise<void>>();

  constructor(origin: string, credentials: Credentials, clock: Clock, version: string) {
    this.origin = origin;
    this.#credentials = credentials;
    this.#clock = clock;
    this.#userAgent = `rollcall/${version}`;
  }

  async request(request: ApiRequest): Promise<ApiResponse> {
    const timeoutMs = request.timeoutMs ?? REQUEST_TIMEOUT_MS;
    return this.#inTime(timeoutMs, request.signal, `${request.method} ${request.path}`, async (signal) => {
      let response = await this.#exchange(request, await this.#credentials.current(), signal);
      if (response.status === 401) response = await this.#exchange(request, await this.#credentials.renewed(), signal);
      return response;
    });
  }

  async stream(request: StreamRequest): Promise<ApiStream> {
    // Lives as long as the stream; the deadline only until the status line is there.
    const life = new LinkedAbort(request.signal);
    const open = async (inTime: AbortSignal): Promise<ApiStream> => {
      const onLate = () => life.abort();
      inTime.addEventListener('abort', onLate, { once: true });
      try {
        const first = await this.#open(request, await this.#credentials.current(), life);
        return first.status === 401 ? await this.#open(request, await this.#credentials.renewed(), life) : first;
      } finally {
        inTime.removeEventListener('abort', onLate);
      }
    };
    try {
      return await this.#inTime(request.timeoutMs ?? STREAM_TIMEOUT_MS, request.signal, `watch ${request.path}`, open);
    } catch (error) {
      life.release();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#doubtConnections();
    const ends = [...this.#retired.values()];
    await Promise.all([...this.#retired.keys()].map((pool) => pool.destroy()));
    await Promise.all(ends);
  }

  async #exchange(request: ApiRequest, access: Access, signal: AbortSignal): Promise<ApiResponse> {
    const hasBody = request.body !== undefined;
    const answer = await this.#channelFor(access).pool.request({
      method: request.method,
      path: pathOf(access, request.path, request.query),
      headers: {
        ...this.#headers(access),
        ...(hasBody ? { 'content-type': request.contentType ?? 'application/json' } : {}),
      },
      ...(hasBody ? { body: JSON.stringify(request.body) } : {}),
      signal,
    });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    return {
      status: answer.statusCode,
      headers: plain(answer.headers),
      body: parseBody(bytes),
      bodyBytes: bytes.length,
    };
  }

  async #open(request: StreamRequest, access: Access, life: LinkedAbort): Promise<ApiStream> {
    const channel = this.#channelFor(access);
    const client = request.shared === true ? undefined : new Client(access.origin, clientOptions(channel.connector));
    try {
      const answer = await (client ?? channel.watches).request({
        method: 'GET',
        path: pathOf(access, request.path, request.query),
        headers: this.#headers(access),
        signal: life.signal,
      });
      const headers = plain(answer.headers);
      if (answer.statusCode === 200) return { status: 200, headers, body: pieces(answer.body, client, life) };
      const errorBody = parseBody(Buffer.from(await answer.body.arrayBuffer()));
      await client?.destroy();
      if (answer.statusCode !== 401) life.release();
      return { status: answer.statusCode, headers, body: nothing(), errorBody };
    } catch (error) {
      await client?.destroy();
      throw error;
    }
  }

  /** Bounds the time, and turns whatever goes wrong into an ApiError. */
  async #inTime<R>(
    timeoutMs: number,
    outer: AbortSignal,
    what: string,
    work: (signal: AbortSignal) => Promise<R>,
  ): Promise<R> {
    const life = new LinkedAbort(outer);
    const done = new AbortController();
    let late = false;
    const deadline = this.#clock.sleep(timeoutMs, done.signal).then(() => {
      if (done.signal.aborted) return;
      late = true;
      life.abort();
    });
    const working = work(life.signal);
    try {
      return await Promise.race([working, untilAborted(life.signal, done.signal)]);
    } catch (cause) {
      // undici hears of an abort only when it has connected; what is left of it ends by the connect timeout.
      working.catch(() => {});
      if (late) this.#doubtConnections();
      else if (isTlsFailure(cause)) await this.#credentials.renewed();
      throw late
        ? new ApiError('transient', `${what}: no answer within ${timeoutMs} ms`, { cause })
        : ApiError.fromFailure(what, cause);
    } finally {
      life.release();
      done.abort();
      await deadline;
    }
  }

  #channelFor(access: Access): Channel {
    if (this.#channel !== undefined && sameTls(this.#channel.access, access)) return this.#channel;
    this.#doubtConnections();
    const connector = buildConnector({
      ...access.tls,
      allowH2: false,
      timeout: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEPALIVE_MS,
    });
    const poolOf = (connections: number) => new Pool(access.origin, { ...clientOptions(connector), connections });
    this.#channel = { access, connector, pool: poolOf(POOL_CONNECTIONS), watches: poolOf(WATCH_CONNECTIONS) };
    return this.#channel;
  }

  /** One request without an answer: its siblings may hang on the same dead path, so the next one starts afresh. */
  #doubtConnections(): void {
    if (this.#channel === undefined) return;
    this.#retire(this.#channel.pool);
    this.#retire(this.#channel.watches);
    this.#channel = undefined;
  }

  /** What is under way may end; then its connections close. */
  #retire(pool: Pool): void {
    const end = pool.close().catch(() => {});
    this.#retired.set(
      pool,
      end.then(() => {
        this.#retired.delete(pool);
      }),
    );
  }

  #headers(access: Access): Record<string, string> {
    return { ...access.headers, accept: 'application/json', 'user-agent': this.#userAgent };
  }
}

/** Rejects at the abort; never settles once `done`. */
const untilAborted = (signal: AbortSignal, done: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const abort = () => reject(new ApiError('transient', 'aborted'));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    done.addEventListener('abort', () => signal.removeEventListener('abort', abort), { once: true });
  });

/** Our own deadlines govern; undici's would cut a quiet watch. */
const clientOptions = (connect: buildConnector.connector): Client.Options => ({
  connect,
  headersTimeout: 0,
  bodyTimeout: 0,
  keepAliveTimeout: IDLE_MS,
  pipelining: 1,
});

async function* pieces(
  body: Dispatcher.ResponseData['body'],
  client: Client | undefined,
  life: LinkedAbort,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of body) {
      if (piece instanceof Uint8Array) yield piece;
    }
  } catch (cause) {
    if (!life.signal.aborted) throw ApiError.fromFailure('the watch broke', cause);
  } finally {
    life.release();
    await client?.destroy();
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

function pathOf(access: Access, path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) search.set(name, String(value));
  return search.size === 0 ? access.basePath + path : `${access.basePath}${path}?${search.toString()}`;
}

function plain(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) result[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value;
  }
  return result;
}

function parseBody(bytes: Buffer): unknown {
  const text = bytes.toString('utf8');
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const sameTls = (a: Access, b: Access): boolean =>
  a.origin === b.origin &&
  a.tls.ca === b.tls.ca &&
  a.tls.cert === b.tls.cert &&
  a.tls.key === b.tls.key &&
  a.tls.servername === b.tls.servername;

/** By code: OpenSSL's verification errors, Node's TLS errors, an alert from the other side. */
function isTlsFailure(error: unknown): boolean {
  const code = field(error, 'code');
  return typeof code === 'string' && /CERT|^ERR_TLS|^ERR_SSL|^UNABLE_TO_|^EPROTO$|^HOSTNAME_MISMATCH$/.test(code);
}
