// All cases, in the order in which the campaign plays them: those that share a stage one after the other.

import type { FaultCase } from '../fault-case.ts';
import { apiAnswerCases, leakyWatchCases } from './api-answers.ts';
import { apiOutageCases } from './api-outage.ts';
import { apiServerCases } from './api-server.ts';
import { clockCases } from './clocks.ts';
import { crowdCases } from './crowds.ts';
import { manyKeysCases } from './many-keys.ts';
import { oneServerCases, threeServerCases } from './nats.ts';
import { natsBucketCases } from './nats-bucket.ts';
import { natsNetworkCases } from './nats-network.ts';
import { natsRightsCases } from './nats-rights.ts';
import { nodeCases } from './nodes.ts';
import { operatorCases } from './operators.ts';
import { partitionCases } from './partitions.ts';
import { resourceCases } from './resources.ts';
import { settingsCases } from './settings.ts';
import { soakCases } from './soak.ts';
import { stickyCases } from './sticky.ts';

export const allCases: readonly FaultCase[] = [
  ...operatorCases,
  ...stickyCases,
  ...oneServerCases,
  ...natsNetworkCases,
  ...natsBucketCases,
  ...partitionCases,
  ...settingsCases,
  ...apiServerCases,
  ...apiAnswerCases,
  ...crowdCases,
  ...leakyWatchCases,
  ...apiOutageCases,
  ...nodeCases,
  ...resourceCases,
  ...clockCases,
  ...natsRightsCases,
  ...threeServerCases,
  ...manyKeysCases,
  ...soakCases,
];
