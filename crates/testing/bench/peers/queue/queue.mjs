// Counts events that travel through BullMQ, taken by a worker that adds them up in memory: one job each, added alone or a
// hundred at a time; or a hundred in a job, ten jobs at a time. Nothing is stored in a database: the figure is generous.

import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { measured, serve } from '../serve.mjs';

// Events that one call adds, in jobs of so many.
const [CALL, JOB] = { 'bullmq add': [1, 1], 'bullmq addBulk': [100, 1], 'bullmq, 100 events a job': [1_000, 100] }[
  process.env.CONTESTANT
];
// Calls to Redis that wait at a time, on either side.
const CONCURRENCY = 100;

const url = process.env.REDIS_URL;
const connect = () => new Redis(url, { maxRetriesPerRequest: null });

const event = (number) => ({
  seq: number,
  index: 0,
  guild: '81384788765712384',
  channel: '381870553235193857',
  member: '175928847299117063',
  at: 1_780_000_000_000 + number,
  kind: 'message_create',
});
const options = { removeOnComplete: true, removeOnFail: true };

let rounds = 0;

await serve(async ({ events }) => {
  const name = `bench-${process.pid}-${rounds++}`;
  const queue = new Queue(name, { connection: connect() });
  const counted = new Set();
  let finish;
  const all = new Promise((resolve) => (finish = resolve));
  const worker = new Worker(
    name,
    async (job) => {
      for (const { seq } of job.data.events ?? [job.data]) counted.add(seq);
      if (counted.size === events) finish();
    },
    { connection: connect(), concurrency: CONCURRENCY },
  );
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
  const { sample } = await measured(events, async () => {
    let next = 0;
    const data = (first) => {
      if (JOB === 1) return event(first);
      return { events: Array.from({ length: Math.min(JOB, events - first) }, (_, i) => event(first + i)) };
    };
    const add = async () => {
      while (next < events) {
        const first = next;
        next += CALL;
        if (CALL > 1) {
          const jobs = [];
          for (let i = first; i < Math.min(first + CALL, events); i += JOB) jobs.push({ name: 'event', data: data(i), opts: options });
          await queue.addBulk(jobs);
        } else {
          await queue.add('event', data(first), options);
        }
      }
    };
    await Promise.all(Array.from({ length: CALL > 1 ? 4 : CONCURRENCY }, add));
    await all;
  });
  await worker.close();
  await queue.obliterate({ force: true });
  await queue.close();
  return { ...sample, answer: 'every event once' };
});
