// Reads compressed frames with the decompression and the parser of @discordjs/ws: its own `unpackMessage`.

import { readFileSync } from 'node:fs';
import zlib from 'node:zlib';
import { CompressionMethod, WebSocketShard } from '@discordjs/ws';
import { measured, serve } from '../serve.mjs';
import { Digest } from './count.mjs';

const zlibSync = await import('zlib-sync').then((module) => module.default, () => null);
const recording = readFileSync(process.env.FRAMES);
const frames = [];
for (let at = 0; at < recording.length; ) {
  const length = recording.readUInt32BE(at);
  // As the WebSocket hands them over: an ArrayBuffer of its own for each message.
  frames.push(recording.buffer.slice(recording.byteOffset + at + 4, recording.byteOffset + at + 4 + length));
  at += 4 + length;
}

/** A shard with a fresh stream, made as the package makes it when it connects. */
function shard() {
  const compression = zlibSync === null ? CompressionMethod.ZlibNative : CompressionMethod.ZlibSync;
  const made = new WebSocketShard({ options: { compression, encoding: 'json' } }, 0);
  if (zlibSync === null) {
    const inflate = zlib.createInflate({ chunkSize: 65_535, flush: zlib.constants.Z_SYNC_FLUSH });
    inflate.on('data', (chunk) => made.inflateBuffer.push(chunk));
    made.nativeInflate = inflate;
  } else {
    made.zLibSyncInflate = new zlibSync.Inflate({ chunkSize: 65_535, to: 'string' });
  }
  return made;
}

await serve(async (request) => {
  const digest = new Digest();
  const reader = shard();
  const { sample } = await measured(request.frames, async () => {
    for (let i = 0; i < request.frames; i++) {
      digest.count(await reader.unpackMessage(frames[i], true));
    }
  });
  return { ...sample, answer: digest.answer() };
});
