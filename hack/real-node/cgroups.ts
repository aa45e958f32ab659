// The control group under which the kubelet puts its pods, made in every hierarchy of the machine (version 1: one per
// controller; version 2: one). Removing it is the sandbox script's work, which also finds what a crash left.

import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const top = '/sys/fs/cgroup';
/** Known to sandbox.sh as well. */
export const groupName = 'rollcall-node';

export const makeGroups = async (): Promise<void> => {
  if (existsSync(join(top, 'cgroup.controllers'))) await makeUnified();
  else await makePerController();
};

const makePerController = async (): Promise<void> => {
  for (const entry of await readdir(top, { withFileTypes: true })) {
    // Names like "cpu,cpuacct" are the hierarchies; "cpu" and "cpuacct" are then links to it.
    if (!entry.isDirectory()) continue;
    const group = join(top, entry.name, groupName);
    await mkdir(group, { recursive: true });
    // A cpuset is born empty and takes no process until it has processors and memory nodes.
    if (entry.name !== 'cpuset') continue;
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      await writeFile(join(group, file), await readFile(join(top, entry.name, file), 'utf8'));
    }
  }
};

const makeUnified = async (): Promise<void> => {
  const group = join(top, groupName);
  await mkdir(group, { recursive: true });
  for (const parent of [top, group]) {
    const available = (await readFile(join(parent, 'cgroup.controllers'), 'utf8')).trim().split(' ');
    for (const controller of available.filter((name) => name !== '')) {
      await writeFile(join(parent, 'cgroup.subtree_control'), `+${controller}`).catch((cause: unknown) => {
        // Some controllers (rt, misc) may be held back by the machine; the kubelet says which one it cannot do without.
        if (['cpu', 'memory', 'pids'].includes(controller))
          throw new Error(`cgroup ${parent}: no ${controller}`, { cause });
      });
    }
  }
};
