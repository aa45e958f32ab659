// What the settings mean for the parts that commands are made of: the connection to NATS, to the API server, and the
// defaults of the installation. One translation, so that no command sees other servers or rules than the operator.

import { hostname } from 'node:os';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import type { NameClaimMode } from '../domain/name-claims.ts';
import type { Quotas } from '../domain/quotas.ts';
import { parseOffset } from '../domain/service-instance.ts';
import type { Defaults } from '../domain/settings.ts';
import { type ClosableTransport, connectApi } from '../kubernetes/undici-transport.ts';
import type { Log } from '../log.ts';
import { createNatsRegistry, type NatsRegistry } from '../nats/registry.ts';
import type { OperatorSettings } from '../operator.ts';
import { VERSION } from '../version.ts';

export const natsRegistryOf = (config: Config, clock: Clock, log: Log): NatsRegistry =>
  createNatsRegistry({
    bucket: config.bucket,
    bucketPolicy: config.bucketPolicy,
    replicas: config.bucketReplicas,
    storage: config.bucketStorage,
    clock,
    log,
    connectionOptions: {
      servers: config.natsUrl,
      credsFile: config.natsCreds,
      nkeyFile: config.natsNkey,
      user: config.natsUser,
      passwordFile: config.natsPasswordFile,
      tokenFile: config.natsTokenFile,
      caFile: config.natsCa,
      certFile: config.natsCert,
      keyFile: config.natsKey,
      tlsFirst: config.natsTlsFirst,
      name: `rollcall ${hostname()}`,
    },
  });

/** @throws Error with a sentence when there is no way to find the API server or to read the credentials */
export const apiOf = (config: Config, clock: Clock): Promise<ClosableTransport> =>
  connectApi({
    ...(config.kubeconfig === undefined ? {} : { kubeconfig: config.kubeconfig }),
    ...(config.context === undefined ? {} : { context: config.context }),
    clock,
    version: VERSION,
  });

export const defaultsOf = (config: Config): Defaults => ({
  ...(config.defaultVersion === undefined ? {} : { version: config.defaultVersion }),
  ...(config.defaultPort === undefined ? {} : { port: config.defaultPort }),
  ...(config.defaultMetadata === undefined ? {} : { metadata: config.defaultMetadata }),
  ...(config.defaultMetadataFromLabels === undefined ? {} : { metadataFromLabels: config.defaultMetadataFromLabels }),
  ...(config.defaultStickyActiveGroup === undefined ? {} : { stickyActiveGroup: config.defaultStickyActiveGroup }),
  suspend: config.defaultSuspend,
  ttlSeconds: config.defaultTtl,
  refreshIntervalSeconds: Math.min(config.defaultRefreshInterval, Math.floor(config.defaultTtl / 3)),
  instanceId: config.defaultInstanceId,
  whenNotReady: config.defaultWhenNotReady,
  notReadyGraceSeconds: config.defaultNotReadyGrace,
  apiOutage: { mode: config.defaultApiOutageMode, maxHoldSeconds: config.maxHold },
  nodeLoss: config.defaultNodeLoss,
  onConflict: config.defaultOnConflict,
  keyLayout: config.keyLayout,
});

/** Who came first cannot be known of namespaces that are not watched. */
const nameClaimsOf = ({ namespace, nameClaims }: Config): NameClaimMode =>
  namespace.length > 0 && nameClaims === 'FirstCome' ? 'Open' : nameClaims;

const quotasOf = ({ quotaInstances, quotaServices, quotaBytes }: Config): Quotas => ({
  ...(quotaInstances === undefined ? {} : { instances: quotaInstances }),
  ...(quotaServices === undefined ? {} : { services: quotaServices }),
  ...(quotaBytes === undefined ? {} : { bytes: quotaBytes }),
});

export const operatorSettingsOf = (
  config: Config,
  operatorId: string,
  replicaId: string,
  leaseNamespace = config.leaseNamespace,
): OperatorSettings => {
  const offset = parseOffset(config.heartbeatOffset);
  if (offset === undefined) throw new Error(`--heartbeat-offset ${config.heartbeatOffset} is no offset`);
  return {
    bucket: config.bucket,
    operatorId,
    replicaId,
    offset,
    defaults: defaultsOf(config),
    nameClaims: nameClaimsOf(config),
    quotas: quotasOf(config),
    ...(leaseNamespace === undefined ? {} : { leaseNamespace }),
    ...(config.maxWritesPerSecond === 0 ? {} : { maxWritesPerSecond: config.maxWritesPerSecond }),
    ...(config.readinessGates
      ? {
          readinessGates: {
            annotationPrefix: config.annotationPrefix,
            timeoutMs: config.readinessGateTimeout * 1_000,
          },
        }
      : {}),
  };
};
