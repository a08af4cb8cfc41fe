/** Which settings are refused, and how values are read. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  dangerousCategories,
  readValue,
  sameSetting,
  whyRefused,
} from '../../../src/targets/database/postgres/settings/rules.ts'
import type { Setting } from '../../../src/targets/database/postgres/settings/rules.ts'

function setting(more: Partial<Setting>): Setting {
  const base = { name: 'x', setting: '', unit: null, context: 'user', category: '', vartype: 'integer' }
  return { ...base, source: 'default', min_val: null, max_val: null, enumvals: [], boot_val: null, flags: [], ...more }
}

const work_mem = setting({ name: 'work_mem', unit: 'kB', min_val: '64', max_val: '2147483647' })

function value(s: Setting, text: string): string | undefined {
  const read = readValue(s, text)
  return 'value' in read ? read.value : undefined
}

describe('a value of a setting', () => {
  test('is read in the units the server reads', () => {
    assert.equal(value(work_mem, '4MB'), '4096')
    assert.equal(value(work_mem, ' 0.5 GB '), '524288')
    assert.equal(value(work_mem, '0x100'), '256')
    assert.equal(value(work_mem, '0200'), '128')
    assert.equal(value(work_mem, '65536B'), '64')
    assert.equal(value(setting({ unit: '8kB' }), '1MB'), '128')
    assert.equal(value(setting({ unit: 's' }), '5min'), '300')
    assert.equal(value(setting({ unit: 'ms' }), '1.5s'), '1500')
    assert.equal(value(setting({ vartype: 'real', unit: 'ms' }), '20us'), '0.02')
    assert.equal(value(setting({ vartype: 'real' }), '1e-3'), '0.001')
    assert.equal(value(setting({ min_val: '-1' }), '-1'), '-1')
  })

  test('that does not fit is answered with what does', () => {
    for (const text of ['4mb', '4 s', 'lots', '', '1kB', '99999999999999', '4MB4']) {
      assert.equal(value(work_mem, text), undefined, text)
    }
    assert.match(JSON.stringify(readValue(work_mem, '1kB')), /from 64 to 2147483647 in units of kB.*MB/)
    const level = setting({ vartype: 'enum', enumvals: ['off', 'replica'] })
    assert.match(JSON.stringify(readValue(level, 'of')), /write one of off, replica/)
    assert.equal(value(setting({ vartype: 'string' }), 'a\nb'), undefined)
  })

  test('is on or off in every way the server takes', () => {
    const flag = setting({ vartype: 'bool' })
    for (const text of ['on', 'TRUE', 't', 'y', 'yes', '1']) assert.equal(value(flag, text), 'on', text)
    for (const text of ['off', 'of', 'F', 'no', '0']) assert.equal(value(flag, text), 'off', text)
    for (const text of ['o', '', 'onn', '2', 'maybe']) assert.equal(value(flag, text), undefined, text)
  })

  test('is compared as what it is', () => {
    assert.ok(sameSetting('real', '1e+06', '1000000'))
    assert.ok(!sameSetting('integer', '100000', '100001'))
    assert.ok(!sameSetting('string', '010', '10'))
  })
})

describe('a setting', () => {
  // As a server tells them in another language.
  const CATEGORIES: Record<string, string> = {
    'Écriture des journaux / Paramétrages': 'fsync full_page_writes commit_delay synchronous_commit wal_skip_flush',
    'Options pour le développeur': 'zero_damaged_pages ignore_checksum_failure allow_system_table_mods trace_sort',
    Archivage: 'archive_command archive_timeout',
    Restauration: 'restore_command',
    'Serveurs en attente': 'hot_standby primary_conninfo primary_slot_name hot_standby_feedback',
    'Serveurs émetteurs': 'max_slot_wal_keep_size wal_keep_size wal_sender_timeout',
    'Serveur primaire': 'synchronous_standby_names synchronized_standby_slots',
    'Gestion des erreurs': 'restart_after_crash exit_on_error',
    'Préchargement de bibliothèques': 'local_preload_libraries session_preload_libraries',
    SSL: 'ssl ssl_ca_file ssl_min_protocol_version',
    Authentification: 'password_encryption authentication_timeout scram_iterations db_user_namespace',
  }
  const categories = new Map(
    Object.entries(CATEGORIES).flatMap(([category, names]) => names.split(' ').map((name) => [name, category])),
  )
  const dangerous = dangerousCategories(new Map([...categories].map(([name, category]) => [name, { category }])))
  const refused = (name: string, more: Partial<Setting> = {}) =>
    whyRefused(
      setting({ name, context: 'sighup', vartype: 'bool', category: categories.get(name) ?? 'Mémoire', ...more }),
      dangerous,
    )

  test('is refused when data, access or the way back could be lost', () => {
    const never =
      'fsync full_page_writes zero_damaged_pages ignore_checksum_failure archive_command archive_timeout restore_command ' +
      'primary_conninfo primary_slot_name session_replication_role ssl ssl_ca_file ssl_min_protocol_version ' +
      'local_preload_libraries session_preload_libraries password_encryption authentication_timeout allow_alter_system ' +
      'max_slot_wal_keep_size wal_keep_size db_user_namespace transaction_read_only client_encoding restart_after_crash'
    for (const name of never.split(' ')) assert.notEqual(refused(name), undefined, name)
    for (const name of ['hba_file', 'data_directory', 'dynamic_library_path', 'krb_server_keyfile'])
      assert.notEqual(refused(name, { vartype: 'string', setting: '/etc' }), undefined, name)
    assert.match(refused('FSYNC', { category: categories.get('fsync')! }) ?? '', /data/)
  })

  test('is refused when only a restart, or nothing, could change it', () => {
    assert.match(refused('shared_buffers', { context: 'postmaster' }) ?? '', /restart/)
    assert.match(refused('block_size', { context: 'internal' }) ?? '', /cannot be changed/)
  })

  test('is refused when the server says by its flags that it belongs to one transaction', () => {
    assert.match(refused('transaction_of_tomorrow', { flags: ['NO_RESET', 'NOT_IN_SAMPLE'] }) ?? '', /one transaction/)
    assert.equal(refused('jit_of_tomorrow', { flags: ['EXPLAIN', 'NOT_IN_SAMPLE'] }), undefined)
  })

  test('is allowed when it only hurts while it lasts', () => {
    const fine =
      'work_mem statement_timeout lock_timeout default_transaction_read_only search_path DateStyle autovacuum ' +
      'max_wal_size log_statement idle_session_timeout transaction_timeout synchronous_standby_names enable_seqscan ' +
      'random_page_cost deadlock_timeout log_min_duration_statement commit_delay pg_stat_statements.track trace_sort ' +
      'hot_standby_feedback wal_sender_timeout synchronous_commit'
    for (const name of fine.split(' ')) assert.equal(refused(name, { vartype: 'string' }), undefined, name)
  })

  test('that the server got yesterday is refused where it names code or files, or is of a kind that can do damage (D21)', () => {
    const code =
      'output_plugin_libraries Output_Plugin_Libraries decoder_library pager_command on_shutdown_script jail_dir ' +
      'wal_key_file crypto_provider trusted_hooks key_location tool.helper_program plperl.on_init'
    for (const name of code.split(' '))
      assert.match(refused(name, { vartype: 'string' }) ?? '', /names libraries/, name)
    // The name says nothing, the server's value does.
    for (const value of ['/usr/bin/true', './helper', '$libdir/tool', 'tool.so', 'C:\\tools'])
      for (const known of [{ setting: value }, { boot_val: value }])
        assert.match(refused('tool.helper', { vartype: 'string', ...known }) ?? '', /names libraries/, value)
    // Numbers and switches name nothing.
    for (const name of ['temp_file_limit', 'max_library_cache'])
      assert.equal(refused(name, { vartype: 'integer' }), undefined)

    const [wal, memory] = [{ category: categories.get('fsync')! }, { category: 'Mémoire' }]
    assert.match(refused('wal_skip_flush', wal) ?? '', /destroy data for good, as others of its kind .*journaux/)
    assert.equal(refused('sort_mem_limit', memory), undefined)
  })
})
