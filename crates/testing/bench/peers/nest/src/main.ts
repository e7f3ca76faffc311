// The function's main: the application behind an adapter for Lambda's events, invoked over the runtime API by a client
// that keeps its connection, as AWS's own for Node.js does.

import { Agent, request } from 'node:http';
import serverlessExpress from '@codegenie/serverless-express';
import { createApp } from './app';

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API!.split(':');
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function call(method: string, path: string, body?: string): Promise<{ headers: any; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sent = request({ host, port, method, path: `/2018-06-01/runtime/${path}`, agent, headers }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('end', () => resolve({ headers: answer.headers, text: Buffer.concat(chunks).toString() }));
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

async function main() {
  const handler: any = serverlessExpress({ app: await createApp() });
  for (;;) {
    const next = await call('GET', 'invocation/next');
    const id = next.headers['lambda-runtime-aws-request-id'];
    const context = { awsRequestId: id, callbackWaitsForEmptyEventLoop: false };
    try {
      await call('POST', `invocation/${id}/response`, JSON.stringify(await handler(JSON.parse(next.text), context)));
    } catch (error) {
      await call('POST', `invocation/${id}/error`, JSON.stringify({ errorMessage: String(error), errorType: 'Error' }));
    }
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
