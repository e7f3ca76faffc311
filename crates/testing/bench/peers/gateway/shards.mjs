// Reads many shards with the WebSocketManager of @discordjs/ws and counts.

import { CompressionMethod, WebSocketManager, WebSocketShardEvents } from '@discordjs/ws';
import { serve } from '../serve.mjs';
import { Digest } from './count.mjs';

const url = `ws://${process.env.GATEWAY}`;
const compression = await import('zlib-sync').then(() => CompressionMethod.ZlibSync, () => CompressionMethod.ZlibNative);

await serve(async ({ shards, events }) => {
  const limit = { total: 1000, remaining: 1000, reset_after: 3_600_000, max_concurrency: shards };
  const manager = new WebSocketManager({
    token: 'double.bot.token',
    intents: 0,
    compression,
    shardCount: shards,
    // All that the manager asks REST for is where the gateway is.
    rest: { get: async () => ({ url, shards, session_start_limit: limit }) },
  });
  const digest = new Digest();
  let read = 0;
  let cpu;
  let start;
  const sample = await new Promise((resolve, reject) => {
    manager.on(WebSocketShardEvents.Error, reject);
    manager.on(WebSocketShardEvents.Dispatch, (payload) => {
      if (payload.t === 'READY') return;
      if (read === 0) {
        cpu = process.cpuUsage();
        start = process.hrtime.bigint();
      }
      digest.count(payload);
      if (++read === events) {
        const wall = process.hrtime.bigint() - start;
        const { user, system } = process.cpuUsage(cpu);
        resolve({ ops: events, wall_ns: Number(wall), cpu_ns: (user + system) * 1000, answer: digest.answer() });
      }
    });
    manager.connect().catch(reject);
  });
  await manager.destroy();
  return sample;
});
