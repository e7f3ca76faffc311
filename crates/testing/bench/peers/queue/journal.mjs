// Keeps bodies as jobs of BullMQ, added in groups, and works them off.

import { readFileSync } from 'node:fs';
import { Queue, Worker } from 'bullmq';
import { measured, serve } from '../serve.mjs';

const bodies = JSON.parse(readFileSync(process.env.BODIES, 'utf8'));
const url = new URL(process.env.REDIS_URL);
const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
const queue = new Queue('envelopes', { connection });

let left = 0;
let bytes = 0;
let finished;
const worker = new Worker(
  'envelopes',
  async (job) => {
    bytes += job.data.body.length;
    if (--left === 0) finished();
  },
  { connection, concurrency: 10 },
);
await worker.waitUntilReady();

await serve(async ({ envelopes, group }) => {
  left = envelopes;
  bytes = 0;
  const done = new Promise((resolve) => (finished = resolve));
  const { sample } = await measured(envelopes, async () => {
    for (let at = 0; at < envelopes; at += group) {
      const jobs = [];
      for (let i = at; i < Math.min(at + group, envelopes); i++) {
        jobs.push({ name: 'envelope', data: { body: bodies[i % bodies.length] }, opts: { removeOnComplete: true } });
      }
      await queue.addBulk(jobs);
    }
    await done;
  });
  return { ...sample, answer: `${envelopes} envelopes of ${bytes} bytes` };
});
