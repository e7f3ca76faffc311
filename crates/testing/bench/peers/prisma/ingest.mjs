// Stores rows with Prisma's createMany.

import { readFileSync } from 'node:fs';
import { PrismaPg } from '@prisma/adapter-pg';
import client from '@prisma/client';
import { measured, serve } from '../serve.mjs';

/** Rows of one call: with more, the time of a row grows. */
const CALL = 1_000;

const prisma = new client.PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL }) });
const id = (text) => (text === null ? null : BigInt(text));
const load = (file) =>
  JSON.parse(readFileSync(file, 'utf8')).map((row) => ({
    ...row,
    ts: new Date(row.ts),
    guildId: id(row.guildId),
    channelId: id(row.channelId),
    userId: id(row.userId),
    targetId: id(row.targetId),
    sourceId: id(row.sourceId),
    seq: id(row.seq),
  }));
const full = load(process.env.FULL);
const tiny = load(process.env.TINY);

await serve(async (request) => {
  const rows = request.full ? full : tiny;
  const { sample } = await measured(rows.length, async () => {
    for (let at = 0; at < rows.length; at += CALL) {
      await prisma.event.createMany({ data: rows.slice(at, at + CALL) });
    }
  });
  return sample;
});
