/** The database skills as they are on PostgreSQL, for tests. */
import { postgres } from '../../src/targets/database/postgres/index.ts'
import { configChange as anyConfigChange } from '../../src/targets/database/skills/config_change.ts'
import { insertLoad as anyInsertLoad } from '../../src/targets/database/skills/insert_load.ts'
import { tableLock as anyTableLock } from '../../src/targets/database/skills/table_lock.ts'
import { updateLoad as anyUpdateLoad } from '../../src/targets/database/skills/update_load.ts'

export const configChange = anyConfigChange(postgres)
export const insertLoad = anyInsertLoad(postgres)
export const tableLock = anyTableLock(postgres)
export const updateLoad = anyUpdateLoad(postgres)
