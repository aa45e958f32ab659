// The node's network inside the sandbox: a bridge whose address is the node's and the API server's, and the CNI plug-ins'
// configuration that puts every pod on it. The bridge exists before the first pod, so that servers can bind to its address.

import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './command.ts';

const bridge = 'rollcall0';
/** Private to the sandbox's own network namespace, so it may equal a range the machine uses. */
const subnet = '10.44.0.0/16';
export const nodeAddress = '10.44.0.1';

export type CniPaths = { readonly confDir: string; readonly binDir: string };

export const makeBridge = async (): Promise<void> => {
  await run('ip', ['link', 'add', bridge, 'type', 'bridge']);
  await run('ip', ['address', 'add', `${nodeAddress}/16`, 'dev', bridge]);
  await run('ip', ['link', 'set', bridge, 'up']);
};

export const writeCniConfig = async (dir: string): Promise<CniPaths> => {
  const binDir = ['/usr/lib/cni', '/opt/cni/bin'].find((folder) => existsSync(join(folder, 'bridge')));
  if (binDir === undefined) throw new Error('no CNI plug-ins (Debian: containernetworking-plugins)');
  const confDir = join(dir, 'cni');
  await mkdir(confDir, { recursive: true });
  const config = {
    cniVersion: '0.4.0',
    name: 'rollcall',
    plugins: [
      {
        type: 'bridge',
        bridge,
        isGateway: true,
        // Nothing outside the sandbox can be reached, so there is nothing to masquerade for and no need of iptables.
        ipMasq: false,
        ipam: {
          type: 'host-local',
          dataDir: join(dir, 'cni-addresses'),
          ranges: [[{ subnet, rangeStart: '10.44.1.1', gateway: nodeAddress }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
      { type: 'loopback' },
    ],
  };
  await writeFile(join(confDir, '10-rollcall.conflist'), JSON.stringify(config, undefined, 2));
  return { confDir, binDir };
};
