// Encodes envelopes as a JavaScript service would: a list of objects, `JSON.stringify`, and perhaps gzip.

import { readFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import { measured, serve } from '../serve.mjs';
import { CODES, Digest } from './count.mjs';

const envelopes = JSON.parse(readFileSync(process.env.ENVELOPES, 'utf8'));
const gzip = process.env.GZIP === '1';
const encode = gzip ? (one) => gzipSync(JSON.stringify(one)).toString('base64') : (one) => JSON.stringify(one);
const decode = gzip ? (body) => JSON.parse(gunzipSync(Buffer.from(body, 'base64'))) : (body) => JSON.parse(body);

await serve(async (request) => {
  const some = envelopes.slice(0, request.envelopes);
  const events = some.reduce((sum, one) => sum + one.events.length, 0) * request.repeat;
  let bodies;
  let bytes = 0;
  const { sample } = await measured(events, () => {
    for (let i = 0; i < request.repeat; i++) {
      bodies = some.map(encode);
      // What is not ASCII would count twice or more; there is none.
      for (const body of bodies) bytes += body.length;
    }
  });
  const digest = new Digest();
  for (const { events } of bodies.map(decode)) {
    for (const { kind, guild_id: guild } of events) digest.add(CODES[kind], guild, 1);
  }
  return { ...sample, bytes, answer: digest.answer() };
});
