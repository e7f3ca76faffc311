// The protocol of a peer: a request on each line of standard input, a sample on a line of standard output.

import { createInterface } from 'node:readline';

/** Measures `work()`, which may be asynchronous, and returns the sample's times. */
export async function measured(ops, work) {
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  const result = await work();
  const wall = process.hrtime.bigint() - start;
  const { user, system } = process.cpuUsage(cpu);
  return { sample: { ops, wall_ns: Number(wall), cpu_ns: (user + system) * 1000 }, result };
}

/** Answers each request with the sample that `round(request)` makes. */
export async function serve(round) {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await round(JSON.parse(line)))}\n`);
  }
}
