// The Kubernetes API as a port: one request, one stream, one class of error. Not HTTP itself: `undici-transport.ts`
// speaks to a server, the suite's fake answers from memory, and one contract test holds both to the same meaning.

export type Query = Readonly<Record<string, string | number | boolean>>;

export type ApiRequest = {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Query;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** The body's type; `application/json` when absent. */
  readonly contentType?: string;
  /** Until the whole answer is there; 10 s when absent. */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
};

export type ApiResponse = {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The parsed JSON, or the text where it is none. */
  readonly body: unknown;
  /** The size of the body as it came, which says how much work parsing was. */
  readonly bodyBytes: number;
};

export type StreamRequest = {
  readonly path: string;
  readonly query: Query;
  /** Until the status line is there; 30 s when absent. The body may be silent for as long as it likes. */
  readonly timeoutMs?: number;
  /** True: on a connection of the pool, for short streams. Else on a connection of its own. */
  readonly shared?: boolean;
  readonly signal: AbortSignal;
};

export type ApiStream = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Empty when the status is no 200. Throws `ApiError` when the connection breaks; ends when the server ends it or
   * the signal aborts. */
  readonly body: AsyncIterable<Uint8Array>;
  /** The answer's body when the status is no 200. */
  readonly errorBody?: unknown;
};

export type ApiTransport = {
  /** Resolves with whatever the server answers, refusals too. @throws ApiError `transient` when no answer came. */
  request(request: ApiRequest): Promise<ApiResponse>;
  /** @throws ApiError `transient` when no answer came. */
  stream(request: StreamRequest): Promise<ApiStream>;
};

/**
 * What to do about it: `transient` back off and try again; `tooMany` the same, not before `retryAfterMs`; `gone` list
 * anew; `denied` a person must grant something; `invalid` show it and wait for a change; `notFound` and `conflict`
 * are mostly expected and become values where they are.
 */
export type ApiErrorKind = 'transient' | 'denied' | 'notFound' | 'conflict' | 'invalid' | 'gone' | 'tooMany';

export class ApiError extends Error {
  readonly kind: ApiErrorKind;
  /** The HTTP status or the code of a Status object; 0 when no answer came. */
  readonly status: number;
  /** The server asked to wait so long. */
  readonly retryAfterMs: number | undefined;

  constructor(
    kind: ApiErrorKind,
    message: string,
    details: { status?: number; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.name = 'ApiError';
    this.kind = kind;
    this.status = details.status ?? 0;
    this.retryAfterMs = details.retryAfterMs;
  }

  /** The one door for refusals: an answer that is no success, or the Status object of an ERROR event. */
  static fromStatus(status: number, headers: Readonly<Record<string, string>>, body: unknown): ApiError {
    const retryAfterMs = parseRetryAfterMs(headers['retry-after'], body);
    return new ApiError(kindOf(status, body), messageOf(status, body), {
      status,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }

  /** The other door: no answer came. */
  static fromFailure(what: string, cause: unknown): ApiError {
    if (cause instanceof ApiError) return cause;
    return new ApiError('transient', `${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** The answer itself when it is a success. @throws ApiError otherwise */
export function successful(response: ApiResponse): ApiResponse {
  if (response.status >= 200 && response.status < 300) return response;
  throw ApiError.fromStatus(response.status, response.headers, response.body);
}

/** A field of something that came as JSON, undefined where there is none. */
export function field(value: unknown, ...path: readonly string[]): unknown {
  let current = value;
  for (const name of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, name)) return undefined;
    current = Reflect.get(current, name);
  }
  return current;
}

/** The same, and only if it is text. */
export function textField(value: unknown, ...path: readonly string[]): string | undefined {
  const found = field(value, ...path);
  return typeof found === 'string' ? found : undefined;
}

function kindOf(status: number, body: unknown): ApiErrorKind {
  if (isResourceVersionTooLarge(body)) return 'gone';
  switch (status) {
    case 401:
    case 403:
      return 'denied';
    case 404:
      return 'notFound';
    case 409:
      return 'conflict';
    case 410:
      return 'gone';
    case 429:
      return 'tooMany';
    case 408:
      return 'transient';
    default:
      return status >= 400 && status < 500 ? 'invalid' : 'transient';
  }
}

/** A server that lags behind another one does not know our version yet. (A watch says nothing of it: `freshness.ts`.) */
function isResourceVersionTooLarge(body: unknown): boolean {
  const causes = field(body, 'details', 'causes');
  return Array.isArray(causes) && causes.some((cause) => field(cause, 'reason') === 'ResourceVersionTooLarge');
}

function messageOf(status: number, body: unknown): string {
  const text = textField(body, 'message') ?? (typeof body === 'string' ? body : '');
  return `${status}: ${text.slice(0, 512)}`;
}

/** The header in seconds (RFC 9110; the API server never sends a date), else `details.retryAfterSeconds`. */
function parseRetryAfterMs(header: string | undefined, body: unknown): number | undefined {
  const seconds = header === undefined ? field(body, 'details', 'retryAfterSeconds') : Number(header);
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds <= 0) return undefined;
  return Math.min(seconds, RETRY_AFTER_SECONDS_MAX) * 1_000;
}

/** A server that asks for more is wrong or broken; a view may not be blind for hours because of one header. */
const RETRY_AFTER_SECONDS_MAX = 120;
