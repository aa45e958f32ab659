// What a command that answers once looks at: the cluster as listed, the registry as it stands, and the operator played
// through on both. Where the registry cannot be reached the rest is still worth saying.

import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { ApiError, type ApiTransport } from '../kubernetes/api-transport.ts';
import { type Gap, listCluster } from '../kubernetes/list-cluster.ts';
import type { ClosableTransport } from '../kubernetes/undici-transport.ts';
import type { ClusterViews } from '../kubernetes/watch-cluster.ts';
import type { NatsRegistry } from '../nats/registry.ts';
import type { BucketReport } from '../writer/registry.ts';
import { CommandError, type Io } from './command.ts';
import { apiOf, defaultsOf, operatorSettingsOf } from './from-config.ts';
import { withRegistry } from './open-registry.ts';
import { readClusterId } from './operator-id.ts';
import type { Clocks } from './registry-entry.ts';
import { type Rehearsal, rehearse } from './rehearsal.ts';

export type Scene = {
  readonly config: Config;
  readonly transport: ClosableTransport;
  readonly operatorId: string;
  readonly views: ClusterViews;
  /** Kinds that were not read as the operator reads them. */
  readonly gaps: readonly Gap[];
  readonly bucket: SceneBucket;
  readonly signal: AbortSignal;
};

export type SceneBucket =
  | {
      readonly kind: 'reached';
      readonly registry: NatsRegistry;
      readonly report: BucketReport;
      /** The server's wall clock minus ours. */
      readonly clockOffsetMs: number;
    }
  | { readonly kind: 'unreachable'; readonly problem: string };

/** @throws CommandError when the API server cannot be reached or says nothing */
export const withApi = async <T>(config: Config, use: (transport: ClosableTransport) => Promise<T>): Promise<T> => {
  const transport = await apiOf(config, systemClock).catch((error: unknown) => {
    throw new CommandError(`no way to the API server: ${error instanceof Error ? error.message : String(error)}`);
  });
  try {
    return await use(transport);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    throw new CommandError(`the API server ${transport.origin} does not answer as it should: ${error.message}`);
  } finally {
    await transport.close();
  }
};

/** The cluster as it is now, read as the operator reads it. `namespace`: the only one, where reading all is not allowed. */
export const listScene = (config: Config, transport: ApiTransport, signal: AbortSignal, namespace?: string) =>
  listCluster({
    transport,
    clock: systemClock,
    log: QUIET,
    annotationPrefix: config.annotationPrefix,
    namespaces: config.namespace,
    excludeNamespaces: config.excludeNamespace,
    defaults: defaultsOf(config),
    ...(namespace === undefined ? {} : { namespace }),
    signal,
  });

/** `namespace`: the only one that is read where reading all is not allowed. @throws CommandError */
export const withScene = <T>(
  config: Config,
  namespace: string | undefined,
  io: Io,
  use: (scene: Scene) => Promise<T>,
): Promise<T> =>
  withApi(config, async (transport) => {
    const { signal } = io;
    const operatorId = config.operatorId ?? (await clusterIdOf(transport, signal));
    const { views, gaps } = await listScene(config, transport, signal, namespace);
    const scene = { config, transport, operatorId, views, gaps, signal };
    return withBucket(config, signal, (bucket) => use({ ...scene, bucket }));
  });

/** Never changes the bucket. */
export const withBucket = async <T>(
  config: Config,
  signal: AbortSignal,
  use: (bucket: SceneBucket) => Promise<T>,
): Promise<T> => {
  let reached = false;
  try {
    return await withRegistry({ ...config, bucketPolicy: 'Verify' }, systemClock, async (registry) => {
      reached = true;
      const report = await registry.inspect(signal);
      const clockOffsetMs = await registry.clockOffsetMs(signal).catch(() => 0);
      return use({ kind: 'reached', registry, report, clockOffsetMs });
    });
  } catch (error) {
    if (reached || !(error instanceof CommandError)) throw error;
    return use({ kind: 'unreachable', problem: error.message });
  }
};

export const clocksOf = (bucket: SceneBucket): Clocks => {
  const wallMs = systemClock.wallMs();
  return { wallMs, serverWallMs: wallMs + (bucket.kind === 'reached' ? bucket.clockOffsetMs : 0) };
};

/** The operator played through on the scene. @throws CommandError */
export const rehearseScene = <T>(
  scene: Pick<Scene, 'bucket' | 'views' | 'config' | 'operatorId' | 'signal'>,
  look: (rehearsal: Rehearsal) => T,
): Promise<T> => {
  const { bucket, views, config, operatorId, signal } = scene;
  const reached = bucket.kind === 'reached' ? bucket : undefined;
  return rehearse(
    {
      views,
      registry: reached?.registry,
      report: reached?.report,
      clockOffsetMs: reached?.clockOffsetMs ?? 0,
      settings: { ...operatorSettingsOf(config, operatorId, 'rehearsal'), leasesByClock: true },
      signal,
    },
    look,
  );
};

const clusterIdOf = (transport: ClosableTransport, signal: AbortSignal): Promise<string> =>
  readClusterId(transport, signal).catch((error: unknown) => {
    if (error instanceof ApiError) throw error;
    const problem = error instanceof Error ? error.message : String(error);
    throw new CommandError(
      `cannot tell the operator's id: ${problem}\nGive it with --operator-id (ROLLCALL_OPERATOR_ID) as the operator has it; the log line "started" shows it.`,
    );
  });

const QUIET = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
