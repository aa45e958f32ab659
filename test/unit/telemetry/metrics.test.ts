import { expect, test } from 'vitest';
import { Metrics } from '../../../src/telemetry/metrics.ts';

test('a queue is told under the names of client-go, an idle event loop as no lag', async () => {
  const metrics = new Metrics();
  let room: { readonly bytes: number; readonly maxBytes: number } | undefined;
  metrics.observe({
    leading: () => true,
    keysOwned: () => 3,
    oldestRefresh: () => ({ ageSeconds: 4.5, ttlShare: 0.15 }),
    viewAgesSeconds: () => ({ Pod: 1 }),
    held: () => 0,
    nodes: () => ({ silent: 1, held: 3 }),
    gatesWaiting: () => 2,
    probesJudged: () => 3,
    holder: () => 'a',
    stretch: () => 1.21,
    clockOffsetSeconds: () => -2.5,
    registry: () => 'RegistryFull',
    bucketRoom: () => room,
    queues: () => ({ pod: { depth: 2, workingSeconds: [1, 3] }, owned: { depth: 0, workingSeconds: [] } }),
  });
  metrics.lapsed(5);
  metrics.drifted('pods', 2);
  metrics.audited({ compared: 9, ghosts: 1, missing: 0, drifted: 2, foreign: 3 });
  expect((await metrics.scrape()).text).not.toMatch(/^rollcall_bucket/m);
  room = { bytes: 80, maxBytes: 100 };
  const { text } = await metrics.scrape();
  const lines = text.split('\n');
  expect(lines).toEqual(
    expect.arrayContaining([
      'leader_election_master_status{name="rollcall"} 1',
      'workqueue_depth{name="pod"} 2',
      'workqueue_unfinished_work_seconds{name="pod"} 4',
      'workqueue_longest_running_processor_seconds{name="pod"} 3',
      'workqueue_longest_running_processor_seconds{name="owned"} 0',
      'rollcall_oldest_refresh_age_seconds 4.5',
      'rollcall_refresh_ttl_share 0.15',
      'rollcall_lapses_total 5',
      'rollcall_watch_drift_total{resource="pods"} 2',
      'rollcall_refresh_stretch 1.21',
      'rollcall_clock_offset_seconds -2.5',
      'rollcall_registry_status{reason="RegistryFull"} 1',
      'rollcall_bucket_bytes 80',
      'rollcall_bucket_max_bytes 100',
      'rollcall_readiness_gates_waiting 2',
      'rollcall_audits_total 1',
      'rollcall_audit_keys{found="ghosts"} 1',
      'rollcall_audit_keys{found="missing"} 0',
      'rollcall_audit_keys{found="drifted"} 2',
      '# TYPE process_cpu_seconds_total counter',
      'rollcall_event_loop_lag_seconds{quantile="1"} 0',
    ]),
  );
});

test('what an audit found is told by the replica that leads, and by no other', async () => {
  const metrics = new Metrics();
  let leading = true;
  const none = () => 0;
  metrics.observe({
    leading: () => leading,
    keysOwned: none,
    oldestRefresh: () => ({ ageSeconds: 0, ttlShare: 0 }),
    viewAgesSeconds: () => ({}),
    held: none,
    nodes: () => ({ silent: 0, held: 0 }),
    gatesWaiting: none,
    probesJudged: none,
    holder: () => undefined,
    stretch: () => 1,
    clockOffsetSeconds: none,
    registry: () => 'Writable',
    bucketRoom: () => undefined,
    queues: () => ({}),
  });
  metrics.audited({ compared: 9, ghosts: 1, missing: 0, drifted: 0, foreign: 0 });
  expect((await metrics.scrape()).text).toContain('rollcall_audit_keys{found="ghosts"} 1');
  leading = false;
  expect((await metrics.scrape()).text).not.toContain('rollcall_audit_keys{');
});
