/** A role that owns tables and puts functions of its own into them; each call of one is told by the server's log, whatever becomes of the transaction. */
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

export interface Hostile {
  server: Postgres
  /** As mallory, in one transaction. */
  mallory(sql: string): Promise<void>
  /** Calls of her functions in sessions of the role since the last look. */
  callsAs(role: string): string[]
  /** Only her functions are left of her schema. */
  fresh(): Promise<void>
  stop(): Promise<void>
}

/** Functions in schema `m`: each logs who is logged in. `m.bad` takes and gives integers, `m.ok` is true, `m.fire` is for triggers. */
const FUNCTIONS = `
  create function m.tell(what text) returns void language plpgsql as
    $$ begin raise log 'HOSTILE % as %', what, session_user; end $$;
  create function m.ok(x anyelement) returns boolean language plpgsql immutable as
    $$ begin perform m.tell('ok'); return true; end $$;
  create function m.bad(x int) returns int language plpgsql immutable as
    $$ begin perform m.tell('bad'); return x; end $$;
  create function m.txt(x text) returns text language plpgsql immutable as
    $$ begin perform m.tell('txt'); return x; end $$;
  create function m.fire() returns trigger language plpgsql as
    $$ begin perform m.tell('fire'); if tg_op = 'DELETE' then return old; end if; return new; end $$;
  create function m.same(a int, b int) returns boolean language plpgsql immutable as
    $$ begin perform m.tell('same'); return a = b; end $$`

export async function startHostile(): Promise<Hostile> {
  const server = await startPostgres({ settings: { log_min_messages: 'log' } })
  await server.sql(`create role mallory login; create role rower login`)
  await server.sql(`grant create on database postgres to mallory`)
  const client = new pg.Client({ connectionString: server.url('postgres', 'mallory') })
  client.on('error', () => undefined)
  await client.connect()
  let read = 0
  return {
    server,
    async mallory(sql) {
      await client.query(sql)
    },
    callsAs(role) {
      const log = readFileSync(server.logFile, 'utf8')
      const lines = log.slice(read).split('\n')
      read = log.length
      return lines.filter((line) => line.includes('HOSTILE ') && line.endsWith(` as ${role}`))
    },
    async fresh() {
      await server.sql('drop schema if exists m cascade; create schema m authorization mallory')
      await client.query(FUNCTIONS)
    },
    async stop() {
      await client.end()
      await server.stop()
    },
  }
}
