// Counts events that travel through BullMQ, one job each: added alone or a hundred at a time, taken by a worker that adds
// them up in memory. Nothing is stored in a database: the figure is generous.

import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { measured, serve } from '../serve.mjs';

const BULK = 100;
// Calls to Redis that wait at a time, on either side.
const CONCURRENCY = 100;

const url = process.env.REDIS_URL;
const bulk = process.env.CONTESTANT === 'bullmq addBulk';
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
      counted.add(job.data.seq);
      if (counted.size === events) finish();
    },
    { connection: connect(), concurrency: CONCURRENCY },
  );
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
  const { sample } = await measured(events, async () => {
    const step = bulk ? BULK : 1;
    let next = 0;
    const add = async () => {
      while (next < events) {
        const first = next;
        next += step;
        if (bulk) {
          const jobs = [];
          for (let i = first; i < Math.min(first + step, events); i++) jobs.push({ name: 'event', data: event(i), opts: options });
          await queue.addBulk(jobs);
        } else {
          await queue.add('event', event(first), options);
        }
      }
    };
    await Promise.all(Array.from({ length: bulk ? 4 : CONCURRENCY }, add));
    await all;
  });
  await worker.close();
  await queue.obliterate({ force: true });
  await queue.close();
  return { ...sample, answer: 'every event once' };
});
