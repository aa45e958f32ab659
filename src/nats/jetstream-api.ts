// Questions to the JetStream API: one JSON request, one JSON answer. Foreign errors enter here and become ours, and
// foreign JSON is trimmed by hand: thousands of answers per take-over make a schema library too slow for it.

import { RegistryError } from '../writer/registry.ts';
import { type Connection, LinkError } from './connection.ts';

export type Json = Readonly<Record<string, unknown>>;

export type ApiError = { readonly code: number; readonly errCode: number; readonly description: string };

/** Server error codes (nats-server `errors.json`) that mean something to us. */
export const ErrCode = {
  clusterNoPeers: 10005,
  notFound: 10037,
  notEnabledForAccount: 10039,
  streamNotFound: 10059,
  replicasNeedCluster: 10074,
  notEnabled: 10076,
} as const;

const REQUEST_TIMEOUT_MS = 2_000;

/** Answers of the API either hold an error or are what was asked for. @throws RegistryError when there is no answer */
export async function callApi(
  connection: Connection,
  endpoint: string,
  body: Json | undefined,
  signal: AbortSignal,
  timeoutMs = REQUEST_TIMEOUT_MS,
): Promise<{ readonly error: ApiError } | { readonly error: undefined; readonly reply: Json }> {
  const subject = `$JS.API.${endpoint}`;
  try {
    const message = await connection.request(subject, body ? JSON.stringify(body) : '', timeoutMs, signal);
    const reply = parseJson(message.string());
    const error = parseApiError(reply);
    return error ? { error } : { error: undefined, reply };
  } catch (error) {
    throw noAnswer(error, subject);
  }
}

/** @throws RegistryError */
export function refuse(error: ApiError, what: string): never {
  const text = `${what}: ${error.description} (${error.errCode})`;
  throw new RegistryError(error.errCode === ErrCode.streamNotFound ? 'missing' : 'transient', text);
}

export function parseJson(text: string): Json {
  const value: unknown = JSON.parse(text);
  return asJson(value);
}

export function asJson(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}

export function parseApiError(reply: Json): ApiError | undefined {
  if (reply['error'] === undefined) return undefined;
  const error = asJson(reply['error']);
  return {
    code: numberOf(error['code']),
    errCode: numberOf(error['err_code']),
    description: textOf(error['description']),
  };
}

export function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function noAnswer(error: unknown, subject: string): RegistryError {
  if (!(error instanceof LinkError)) {
    return new RegistryError('transient', `unreadable answer on ${subject}: ${String(error)}`);
  }
  switch (error.kind) {
    case 'denied':
      return new RegistryError('denied', `the NATS user may not publish to ${subject}: grant it that right`);
    case 'noResponders':
      return new RegistryError('transient', 'JetStream is not enabled for this account, or has no leader right now');
    case 'timeout':
    case 'disconnected':
    case 'aborted':
      return new RegistryError('transient', `${subject}: ${error.message}`);
  }
}
