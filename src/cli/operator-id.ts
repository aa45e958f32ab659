// The name of the installation in the registry, when the settings give none: the UID of namespace kube-system, the same
// for every installation in a cluster, and never another cluster's.

import { type ApiTransport, textField } from '../kubernetes/api-transport.ts';

export const KUBE_SYSTEM = '/api/v1/namespaces/kube-system';

/** @throws Error with a sentence when it cannot be read now */
export const readClusterId = async (transport: ApiTransport, signal: AbortSignal): Promise<string> => {
  const answer = await transport.request({ method: 'GET', path: KUBE_SYSTEM, signal });
  const uid = textField(answer.body, 'metadata', 'uid');
  if (answer.status === 200 && uid !== undefined) return uid;
  throw new Error(`the API server answered ${answer.status} to GET ${KUBE_SYSTEM}`);
};
