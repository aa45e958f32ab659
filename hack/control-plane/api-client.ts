/**
 * A small client of the Kubernetes API for tests and scripts: JSON over undici with a token, and errors with the
 * server's status and reason. Not the operator's transport: it neither watches nor retries.
 */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';

/** What every object has; the rest as the caller knows it. */
export type KubeObject = {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly generation?: number;
    readonly creationTimestamp: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
};

export type PatchType = 'merge' | 'strategic' | 'json' | 'apply';

export class ApiError extends Error {
  readonly status: number;
  /** The API's own word, as `NotFound`, `Forbidden`, `AlreadyExists`, `Invalid`. */
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

const contentTypes: Readonly<Record<PatchType, string>> = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
};

const requestTimeoutMs = 15_000;

export class ApiClient {
  readonly #url: string;
  readonly #token: string;
  readonly #agent: Agent;

  constructor({ url, caFile, token }: { readonly url: string; readonly caFile: string; readonly token: string }) {
    this.#url = url;
    this.#token = token;
    // A paused server must end in an error, not in a test that hangs.
    const timeouts = { headersTimeout: requestTimeoutMs, bodyTimeout: requestTimeoutMs };
    this.#agent = new Agent({ connections: 16, connect: { ca: readFileSync(caFile) }, ...timeouts });
  }

  get<T = KubeObject>(path: string): Promise<T> {
    return this.#send<T>('GET', path);
  }

  /** For the paths that answer no JSON, as `/readyz` and `/metrics`. */
  text(path: string): Promise<string> {
    return this.#request('GET', path);
  }

  post<T = KubeObject>(path: string, body: unknown): Promise<T> {
    return this.#send<T>('POST', path, body, 'application/json');
  }

  put<T = KubeObject>(path: string, body: unknown): Promise<T> {
    return this.#send<T>('PUT', path, body, 'application/json');
  }

  /** A merge patch unless said otherwise; `apply` wants `?fieldManager=` in the path. */
  patch<T = KubeObject>(path: string, body: unknown, type: PatchType = 'merge'): Promise<T> {
    return this.#send<T>('PATCH', path, body, contentTypes[type]);
  }

  delete<T = KubeObject>(path: string, options?: unknown): Promise<T> {
    return this.#send<T>('DELETE', path, options, 'application/json');
  }

  /** The object, or undefined if there is none. */
  async find<T = KubeObject>(path: string): Promise<T | undefined> {
    try {
      return await this.get<T>(path);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  async list<T = KubeObject>(path: string): Promise<readonly T[]> {
    const { items } = await this.get<{ readonly items: readonly T[] }>(path);
    return items;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #send<T>(method: string, path: string, body?: unknown, contentType?: string): Promise<T> {
    return parseAnswer<T>(await this.#request(method, path, body, contentType));
  }

  async #request(method: string, path: string, body?: unknown, contentType?: string): Promise<string> {
    const answer = await request(`${this.#url}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: {
        authorization: `Bearer ${this.#token}`,
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': contentType }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 400) throw apiError(answer.statusCode, text, `${method} ${path}`);
    return text;
  }
}

/** The edge: a test names the type it expects, and trusts the API server for it. */
function parseAnswer<T>(text: string): T {
  return JSON.parse(text) as T;
}

function apiError(status: number, text: string, what: string): ApiError {
  try {
    const { reason, message } = parseAnswer<{ readonly reason?: string; readonly message?: string }>(text);
    return new ApiError(status, reason ?? 'Unknown', `${what}: ${status} ${message ?? text}`);
  } catch {
    return new ApiError(status, 'Unknown', `${what}: ${status} ${text.slice(0, 256)}`);
  }
}
