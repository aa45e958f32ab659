// Holds the fake API server to the contract. What its faults do to a reflector is in `unit/kubernetes/reflector.test.ts`.

import { expect } from 'vitest';
import { resources } from '../../src/kubernetes/resources.ts';
import { apiContract } from '../contract/api.contract.ts';
import { FakeApi } from '../support/fake-api.ts';
import { FakeClock } from '../support/fake-clock.ts';

apiContract('the fake', async () => {
  const clock = new FakeClock();
  const api = new FakeApi(clock);
  const powerless = api.connect();
  powerless.faults.deny('list serviceregistrations', 'watch serviceregistrations');
  for (const name of ['one', 'two']) api.put('Namespace', { metadata: { name } });
  return {
    transport: api.connect(),
    powerless,
    namespace: 'one',
    otherNamespace: 'two',
    oldVersion: async () => {
      const version = api.store.version;
      api.put('ServiceRegistration', { metadata: { name: 'x', namespace: 'one' }, spec: {} });
      api.compact();
      return String(version);
    },
    collectsGarbage: true,
    run: async (promise) => {
      let done = false;
      const settled = promise.then(
        () => {
          done = true;
        },
        () => {
          done = true;
        },
      );
      for (let steps = 0; !done; steps++) {
        if (steps > 10_000) throw new Error('nothing comes of it');
        await clock.advance(10);
      }
      await settled;
      return promise;
    },
    sleep: (ms) => clock.advance(ms),
    close: async () => {
      await clock.advance(1_000);
      expect(clock.pendingTimers()).toBe(0);
      expect(api.store.collection(resources.ServiceRegistration).onChange.size).toBe(0);
    },
  };
});
