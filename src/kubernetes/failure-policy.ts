// What a failure of a list or a watch means for what comes next. Decides only; the reflector waits and acts.

import type { ApiError } from './api-transport.ts';

export type FailureVerdict = {
  /** The place where we stood is worth nothing any more: list anew. */
  readonly forgetsPlace: boolean;
  /** The server does not stream initial objects: list in pages from now on. */
  readonly refusesInitialStream: boolean;
  /** The server says that there is no such resource. */
  readonly denies: 'nothing' | 'existence';
  /** What a person must do something about. */
  readonly problem?: string;
  /** How loudly it is said, once per illness; absent: part of life. */
  readonly tell?: 'warn' | 'error';
  /** Which backoff counts it: a server that compacts often is not ill, and must not be waited for as if it were. */
  readonly backoff: 'illness' | 'compaction' | 'none';
  readonly capMs?: number;
};

/** The server compacts; the next list follows soon, or keys of the dead would stay for longer than is promised. */
const GONE_CAP_MS = 1_000;
/** A missing CRD may be installed any moment. */
const NOT_FOUND_CAP_MS = 5_000;

const PASSING = { forgetsPlace: false, refusesInitialStream: false, denies: 'nothing', backoff: 'illness' } as const;

export type Asked = {
  /** The request was one for initial objects as a stream, which may be what was refused. */
  readonly askedForInitialStream: boolean;
  /** The resource is there only where somebody has defined it. */
  readonly mayBeAbsent: boolean;
};

export function judgeFailure(
  error: ApiError,
  path: string,
  { askedForInitialStream, mayBeAbsent }: Asked,
): FailureVerdict {
  switch (error.kind) {
    case 'gone':
      return { ...PASSING, forgetsPlace: true, backoff: 'compaction', capMs: GONE_CAP_MS };
    case 'invalid':
      if (askedForInitialStream) return { ...PASSING, refusesInitialStream: true, backoff: 'none' };
      return { ...PASSING, tell: 'error', problem: `${path}: ${error.message}` };
    case 'denied':
      return { ...PASSING, tell: 'error', problem: `no right to list and watch ${path}: ${error.message}` };
    case 'notFound':
      if (!mayBeAbsent)
        return { ...PASSING, tell: 'error', problem: `${path}: ${error.message}: what answers is no API server` };
      return {
        ...PASSING,
        tell: 'warn',
        denies: 'existence',
        problem: `the API server has no ${path}: is its CustomResourceDefinition applied (crds/)?`,
        capMs: NOT_FOUND_CAP_MS,
      };
    case 'conflict':
    case 'transient':
    case 'tooMany':
      return { ...PASSING, tell: 'warn' };
    default:
      return error.kind satisfies never;
  }
}

/** "There is no such resource" is believed when it was said so often, for so long. */
const ABSENT_TIMES = 3;
const ABSENT_MS = 5_000;

/**
 * Whether to believe that a resource does not exist. A server that has just started says so of one that does, and a proxy
 * that has lost its way to the server says so of everything.
 */
export class Absence {
  #times = 0;
  #sinceMs = 0;

  /** It was said at `nowMs`. True when it is to be believed by now, if the server has shown to be one since the first time. */
  said(nowMs: number, isServing: (sinceMs: number) => boolean = () => true): boolean {
    if (this.#times === 0) this.#sinceMs = nowMs;
    this.#times++;
    return this.#times >= ABSENT_TIMES && nowMs - this.#sinceMs >= ABSENT_MS && isServing(this.#sinceMs);
  }

  /** It was there after all, or something else ails the server. */
  refuted(): void {
    this.#times = 0;
  }
}
