/** A process that holds a table lock and waits to be killed: `lock-holder.ts URL RUN TABLE SOAK_MS`. Prints `held`. */
import { systemClock } from '../../src/core/clock.ts'
import { markOf } from '../../src/core/skill.ts'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { tableLock } from '../labs/postgres-skills.ts'

const [url = '', run = '', table = '', heldMs = ''] = process.argv.slice(2)
const signal = new AbortController().signal
const agent = await connectPostgres({ connection_url: url, db_type: 'postgres', schemas: [] }, [tableLock], {
  install: 'contract',
  run,
  clock: systemClock,
  signal,
})
const [schema = '', name = ''] = table.split('.')
await agent.apply(
  'db.table_lock',
  { tables: [{ id: table, schema, table: name }], mode: 'ACCESS EXCLUSIVE', wait_ms: 5_000 },
  {
    version: tableLock.version,
    mark: markOf('contract', run, 1),
    clock: systemClock,
    signal,
    heldMs: Number(heldMs),
    record: () => Promise.resolve(),
    hold: () => undefined,
  },
)
console.log('held')
setInterval(() => undefined, 60_000)
