// Verifies signed bodies as an HTTP handler does: the raw body and two headers, the key known before.

import { createPublicKey, verify } from 'node:crypto';
import { verifyKey } from 'discord-interactions';
import nacl from 'tweetnacl';
import { measured, serve } from '../serve.mjs';

/** For each contestant, from the public key in hexadecimal, `(body, signature, timestamp) => boolean`. */
const CONTESTANTS = {
  'discord-interactions': (publicKey) => (body, signature, timestamp) => verifyKey(body, signature, timestamp, publicKey),
  'node:crypto': (publicKey) => {
    const prefix = Buffer.from('302a300506032b6570032100', 'hex');
    const der = Buffer.concat([prefix, Buffer.from(publicKey, 'hex')]);
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
    return (body, signature, timestamp) =>
      verify(null, Buffer.concat([Buffer.from(timestamp), body]), key, Buffer.from(signature, 'hex'));
  },
  tweetnacl: (publicKey) => {
    const key = Buffer.from(publicKey, 'hex');
    return (body, signature, timestamp) =>
      nacl.sign.detached.verify(Buffer.concat([Buffer.from(timestamp), body]), Buffer.from(signature, 'hex'), key);
  },
};

const contestant = CONTESTANTS[process.env.CONTESTANT];

await serve(async ({ ops, input }) => {
  const check = contestant(input.publicKey);
  const signed = input.signed.map((one) => ({ ...one, body: Buffer.from(one.body) }));
  let accepted = 0;
  const { sample } = await measured(ops, async () => {
    for (let i = 0; i < ops; i++) {
      const { body, signature, timestamp } = signed[i % signed.length];
      if (await check(body, signature, timestamp)) accepted++;
    }
  });
  if (accepted !== ops) throw new Error(`${accepted} of ${ops} good signatures were accepted`);
  const refused = !(await check(signed[1].body, signed[0].signature, signed[0].timestamp));
  return { ...sample, answer: `all accepted, a changed body refused: ${refused}` };
});
