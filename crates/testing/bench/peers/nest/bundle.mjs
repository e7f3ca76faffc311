// `node bundle.mjs FILE`: the function as one minified file, as it would be uploaded.

import { build } from 'esbuild';

// NestJS asks for these at run time only where they are used.
const absent = [
  '@nestjs/microservices', '@nestjs/microservices/microservices-module', '@nestjs/websockets/socket-module',
  '@nestjs/websockets', 'class-transformer', 'class-validator', 'class-transformer/storage',
];

await build({
  entryPoints: ['src/main.ts'],
  outfile: process.argv[2],
  bundle: true,
  minify: true,
  // NestJS names providers after their classes.
  keepNames: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  external: absent,
  tsconfigRaw: { compilerOptions: { experimentalDecorators: true, target: 'es2022' } },
  logLevel: 'error',
});
