/** What most field tests stand on: a server of their own, and rigs for skills on it that are closed after each test. */
import { after, afterEach, before } from 'node:test'
import type { AnySkill } from '../../src/core/target.ts'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import type { DbClient, DbReader } from '../../src/targets/database/client.ts'
import type { DatabaseConfig } from '../../src/targets/database/config.ts'
import { openRig } from '../contract/skill.ts'
import type { Rig, SkillCase } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

export interface FieldServer {
  /** From the first `before` on. */
  readonly server: Postgres
  /** A run of this skill, not planned yet. `place`: what of the configuration is not as usual. */
  open(skill: AnySkill<DbReader, DbClient>, params: object, place?: Partial<DatabaseConfig>): Promise<Rig>
  /** One statement after the other, each in a transaction of its own. */
  each(statements: readonly string[]): Promise<void>
}

/** Registers the hooks in the file or `describe` that calls it. `options`: those of the server. */
export function fieldServer(options?: Parameters<typeof startPostgres>[0]): FieldServer {
  let server: Postgres | undefined
  const rigs: Rig[] = []
  const started = (): Postgres => {
    if (!server) throw new Error('the server is started before the first test, not while tests are registered')
    return server
  }
  before(async () => void (server = await startPostgres(options)))
  after(() => server?.stop())
  afterEach(async () => {
    for (const rig of rigs.splice(0)) await rig.close()
  })
  return {
    get server() {
      return started()
    },
    async open(skill, params, place = {}) {
      const connect: SkillCase['connect'] = (ways) =>
        connectPostgres({ connection_url: started().url(), db_type: 'postgres', schemas: [], ...place }, [skill], ways)
      const rig = await openRig({ skill: skill, params, connect })
      rigs.push(rig)
      return rig
    },
    async each(statements) {
      for (const one of statements) await started().sql(one)
    },
  }
}
