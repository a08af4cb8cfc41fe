/** Field case D5: an audit of DDL has nothing to write down about us, and triggers that fire at login are named. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { insertLoad, tableLock, updateLoad } from '../labs/postgres-skills.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import { fieldServer } from './rigs.ts'

const field = fieldServer()
const { open } = field

describe('D5: an audit of DDL wrote down our temporary tables', () => {
  before(() =>
    field.server.sql(`create table ddl_log (id serial primary key, event text, tag text);
      create function log_ddl() returns event_trigger language plpgsql as $$
      begin insert into ddl_log (event, tag) values (tg_event, tg_tag); end $$;
      create table u (id serial primary key, n text); create table post (id serial primary key, n text);
      insert into u (n) select 'u' || g from generate_series(1, 50) g;
      insert into post (n) select 'p' || g from generate_series(1, 50) g;
      create table m2m (user_id int references u, post_id int references post, seen bool default false, primary key (user_id, post_id));
      create table hand (id int primary key, n text unique);
      create event trigger audit_start on ddl_command_start execute function log_ddl();
      create event trigger audit_end on ddl_command_end execute function log_ddl();
      create event trigger audit_drop on sql_drop execute function log_ddl();
      create event trigger audit_rewrite on table_rewrite execute function log_ddl();
      truncate ddl_log`),
  )

  test('a run of each skill leaves no row in it, not even one that collides or cannot use COPY', async () => {
    const was = await snapshot(field.server.url())
    for (const [skill, params] of [
      [insertLoad, { rows_per_table: 20, tables: ['m2m', 'u', 'hand'] }],
      [updateLoad, { rows: 20, tables: ['u'] }],
      [tableLock, { tables: ['u'] }],
    ] as const) {
      const rig = await open(skill, params)
      try {
        await rig.applyAll()
        assert.deepEqual(await field.server.sql('select event, tag from ddl_log'), [], skill.name)
        await rig.undoAll()
      } finally {
        await rig.close()
      }
    }
    const left = diff(was, await snapshot(field.server.url())).filter((line) => !line.startsWith('session '))
    assert.deepEqual(left, [])
  })

  test('a trigger that fires when we log in is named where the server is described', async (t) => {
    const [row] = await field.server.sql(`select current_setting('server_version_num')::int >= 170000 as able`)
    if (row?.['able'] !== true) {
      t.skip('this server has no such triggers')
      return
    }
    await field.server.sql(`create event trigger "audit logins" on login execute function log_ddl()`)
    try {
      const rig = await open(insertLoad, {})
      const { summary } = await rig.agent.discover(rig.signal)
      await rig.close()
      assert.match(summary, /event trigger "audit logins" fires at each login, ours too/)
    } finally {
      await field.server.sql('drop event trigger "audit logins"')
    }
  })
})
