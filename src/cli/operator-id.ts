// The name of the installation in the registry, when the settings give none: the UID of namespace kube-system, the same
// for every installation in a cluster, and never another cluster's. A replica that is started again while the API server
// is away knows it from a file, if it was given a place for one.

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { OPERATOR_ID } from '../config.ts';
import { type ApiTransport, textField } from '../kubernetes/api-transport.ts';
import type { Log } from '../log.ts';

export const KUBE_SYSTEM = '/api/v1/namespaces/kube-system';

const FILE = 'operator-id';
const AGAIN_AFTER_MS = 1_000;
/** For who has an answer at hand: within a TTL everything has to be refreshed. */
const PATIENCE_MS = 3_000;

/** @throws Error with a sentence when it cannot be read now */
export const readClusterId = async (
  transport: ApiTransport,
  signal: AbortSignal,
  timeoutMs?: number,
): Promise<string> => {
  const limit = timeoutMs === undefined ? {} : { timeoutMs };
  const answer = await transport.request({ method: 'GET', path: KUBE_SYSTEM, signal, ...limit });
  const uid = textField(answer.body, 'metadata', 'uid');
  if (answer.status === 200 && uid !== undefined) return uid;
  throw new Error(`the API server answered ${answer.status} to GET ${KUBE_SYSTEM}`);
};

type ClusterIdOptions = {
  readonly transport: ApiTransport;
  readonly clock: Clock;
  readonly log: Log;
  /** Where it is remembered; undefined: nowhere. Whatever ails the place is logged, and nothing else comes of it. */
  readonly stateDir: string | undefined;
  readonly signal: AbortSignal;
};

/** Waits for the API server to say it, unless it is remembered. @throws when the signal aborts */
export const untilClusterId = async ({
  transport,
  clock,
  log,
  stateDir,
  signal,
}: ClusterIdOptions): Promise<string> => {
  const remembered = stateDir === undefined ? undefined : await recall(stateDir, log);
  for (let told = ''; ; ) {
    try {
      const uid = await readClusterId(transport, signal, remembered === undefined ? undefined : PATIENCE_MS);
      if (stateDir !== undefined && uid !== remembered) await remember(stateDir, uid, log);
      return uid;
    } catch (error) {
      signal.throwIfAborted();
      const problem = sentenceOf(error);
      if (remembered !== undefined) {
        log.warn({ problem, operatorId: remembered }, 'cannot read the UID of namespace kube-system; it is remembered');
        return remembered;
      }
      if (problem !== told)
        log.warn(
          { problem },
          'cannot read the UID of namespace kube-system; trying again (--operator-id or --state-dir avoid it)',
        );
      told = problem;
    }
    await clock.sleep(AGAIN_AFTER_MS, signal);
  }
};

const recall = async (dir: string, log: Log): Promise<string | undefined> => {
  try {
    const text = (await readFile(join(dir, FILE), 'utf8')).trim();
    if (OPERATOR_ID.test(text)) return text;
    log.warn({ file: join(dir, FILE) }, 'the file of the operator id holds none; it is written anew');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      log.warn({ problem: sentenceOf(error) }, 'the operator id cannot be recalled');
  }
  return undefined;
};

/** Whole or not at all. */
const remember = async (dir: string, uid: string, log: Log): Promise<void> => {
  try {
    await mkdir(dir, { recursive: true });
    const draft = join(dir, `.${FILE}-${process.pid}`);
    await writeFile(draft, `${uid}\n`);
    await rename(draft, join(dir, FILE));
  } catch (error) {
    log.warn({ problem: sentenceOf(error) }, 'the operator id cannot be remembered');
  }
};

const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
