// All cases, in the order in which the campaign plays them: those that share a stage one after the other.

import type { FaultCase } from '../fault-case.ts';
import { apiServerCases } from './api-server.ts';
import { oneServerCases, threeServerCases } from './nats.ts';
import { nodeCases } from './nodes.ts';
import { operatorCases } from './operators.ts';
import { stickyCases } from './sticky.ts';

export const allCases: readonly FaultCase[] = [
  ...operatorCases,
  ...stickyCases,
  ...oneServerCases,
  ...apiServerCases,
  ...nodeCases,
  ...threeServerCases,
];
