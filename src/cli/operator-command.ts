// `rollcall operator`: puts the operator together from its real parts and runs it until it is told to stop.

import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { systemClock, systemRandom } from '../clock.ts';
import { type Config, unavailable } from '../config.ts';
import { allViews } from '../controllers/views.ts';
import type { ApiTransport } from '../kubernetes/api-transport.ts';
import { createCluster } from '../kubernetes/cluster-writer.ts';
import { ownNamespace } from '../kubernetes/credentials.ts';
import { EventRecorder } from '../kubernetes/event-recorder.ts';
import { awaitRights, operatorRights } from '../kubernetes/rights.ts';
import { watchCluster } from '../kubernetes/watch-cluster.ts';
import { createTcpProber } from '../network/tcp-prober.ts';
import { Operator } from '../operator.ts';
import { probeAnswer, serve } from '../telemetry/http.ts';
import { createLogger } from '../telemetry/logger.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { VERSION } from '../version.ts';
import { apiOf, defaultsOf, natsRegistryOf, operatorSettingsOf } from './from-config.ts';
import { untilClusterId } from './operator-id.ts';

/** After the first signal everything has this long to end in good order. */
const STOP_WITHIN_MS = 10_000;

/** Runs until the signal aborts, with the name of what made it. Resolves with the exit code. */
export const runOperator = async (config: Config, ended: AbortSignal): Promise<number> => {
  // It may have come while all this was loaded.
  if (ended.aborted) return 0;
  const log = createLogger(config.logLevel, VERSION);
  const stop = new AbortController();
  ended.addEventListener('abort', () => {
    log.info({ signal: ended.reason }, 'stopping');
    stop.abort();
  });
  try {
    return await Promise.race([run(config, log, stop).then(() => 0), overdue(stop.signal)]);
  } catch (error) {
    if (stop.signal.aborted) return 0;
    const stack = error instanceof Error ? error.stack : undefined;
    log.error({ error: error instanceof Error ? error.message : String(error), stack }, 'cannot run');
    stop.abort();
    return 1;
  }
};

/** 1, when something has not ended long after it was told to. */
const overdue = async (stop: AbortSignal): Promise<number> => {
  await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }));
  await systemClock.sleep(STOP_WITHIN_MS, new AbortController().signal);
  return 1;
};

const run = async (config: Config, log: Logger, stop: AbortController): Promise<void> => {
  const { signal } = stop;
  const clock = systemClock;
  const metrics = new Metrics();
  const api = await apiOf(config, clock);
  const transport = counted(api, metrics);
  const registry = natsRegistryOf(config, clock, log);
  // Outlives the stop: the lock is released, with what is urgent, over this connection.
  const connection = new AbortController();
  const connected = registry.start(connection.signal);
  const { views, watching } = watchCluster({
    transport,
    clock,
    random: systemRandom,
    log,
    annotationPrefix: config.annotationPrefix,
    namespaces: config.namespace,
    excludeNamespaces: config.excludeNamespace,
    defaults: defaultsOf(config),
    relistIntervalMs: config.relistInterval * 1_000,
    metrics: {
      count: (what, resource, many) => {
        if (what === 'drifted') metrics.drifted(resource, many);
      },
    },
    signal,
  });
  let operator: Operator | undefined;
  let missing: readonly string[] = [];
  const notReady = () => {
    if (missing.length > 0) return `Kubernetes rights are missing: ${missing.join(', ')}`;
    return operator === undefined ? 'starting' : operator.notReady;
  };
  await serve(config.metricsAddr, { '/metrics': () => scrape(metrics) }, signal);
  await serve(
    config.healthAddr,
    { '/livez': () => probeAnswer(() => undefined), '/readyz': () => probeAnswer(notReady) },
    signal,
  );
  const cluster = createCluster(transport);
  const onMissing = (rights: readonly string[]) => {
    missing = rights;
    if (rights.length === 0) log.info({}, 'Kubernetes rights granted');
    else log.error({ missing: rights }, 'Kubernetes rights are missing');
  };
  const asking = awaitRights(cluster, operatorRights(config), clock, onMissing, signal);
  const { stateDir } = config;
  const operatorId = config.operatorId ?? (await untilClusterId({ transport, clock, log, stateDir, signal }));
  const replicaId = `${hostname()}-${process.pid}-${crypto.randomUUID().slice(0, 8)}`;
  const events = new EventRecorder({ transport, clock, random: systemRandom, log, reportingInstance: replicaId });
  operator = new Operator(
    {
      views,
      cluster,
      events,
      registry,
      prober: createTcpProber(),
      clock,
      random: systemRandom,
      log,
      observer: metrics,
    },
    operatorSettingsOf(config, operatorId, replicaId, config.leaseNamespace ?? (await ownNamespace())),
  );
  observe(metrics, operator, views);
  const without = unavailable(config);
  if (without.length > 0) {
    log.warn({ namespaces: config.namespace, unavailable: without }, 'single namespaces are watched');
  }
  log.info({ operatorId, replicaId, bucket: config.bucket, pid: process.pid }, 'started');
  await Promise.all([operator.run(signal), events.run(signal), watching, asking]);
  connection.abort();
  await Promise.all([connected, api.close()]);
  log.info({}, 'stopped');
};

const scrape = async (metrics: Metrics) => {
  const { text, contentType } = await metrics.scrape();
  return { status: 200, contentType, text };
};

const observe = (metrics: Metrics, operator: Operator, views: Parameters<typeof allViews>[0]): void => {
  const startedAtMs = systemClock.monotonicMs();
  metrics.observe({
    leading: () => operator.writer.leading,
    keysOwned: () => operator.table.size,
    oldestRefresh: () => operator.oldestRefresh,
    viewAgesSeconds: () => {
      const nowMs = systemClock.monotonicMs();
      // What is not watched has no age; what was never proved is as old as the process.
      const age = (lastProofAtMs: number) =>
        lastProofAtMs === Number.POSITIVE_INFINITY ? -1 : (nowMs - Math.max(lastProofAtMs, startedAtMs)) / 1_000;
      return {
        Pod: age(views.pods.oldestProofAtMs),
        ServiceRegistration: age(views.registrations.oldestProofAtMs),
        Node: age(views.nodes.lastProofAtMs),
        Lease: age(views.leases.lastProofAtMs),
        ...Object.fromEntries(Object.entries(views.workloads).map(([kind, view]) => [kind, age(view.oldestProofAtMs)])),
      };
    },
    held: () => operator.held,
    nodes: () => operator.nodes,
    gatesWaiting: () => operator.gatesWaiting,
    probesJudged: () => operator.probesJudged,
    holder: () => operator.writer.holder,
    clockOffsetSeconds: () => operator.writer.clockSkew.offsetMs / 1_000,
    registry: () => {
      const health = operator.writer.health();
      return health.kind === 'writable' ? 'Writable' : health.reason;
    },
    bucketRoom: () => operator.writer.bucketRoom,
    stretch: () => operator.table.stretch,
    queues: () => operator.queues(),
  });
};

/** The transport, with every request in the metrics; `<error>` stands for no answer, as in client-go. */
const counted = (transport: ApiTransport, metrics: Metrics): ApiTransport => {
  const count = async <A extends { readonly status: number }>(method: string, answer: Promise<A>): Promise<A> => {
    try {
      const { status } = await answer;
      metrics.request(method, String(status));
    } catch {
      metrics.request(method, '<error>');
    }
    return answer;
  };
  return {
    request: (request) => count(request.method, transport.request(request)),
    stream: (request) => count('GET', transport.stream(request)),
  };
};
