/** The undo of a changed line, against a model of what ALTER SYSTEM does to the file. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  lostOnRewrite,
  nextToMove,
  nextUndo,
  isUnknownList,
  isWritable,
  resetLine,
  sameValue,
  setLine,
  splitList,
} from '../../../src/targets/database/postgres/settings/auto-conf.ts'
import type { Line, LineChange } from '../../../src/targets/database/postgres/settings/auto-conf.ts'

/** The file as the server keeps it: SET takes the line out and puts it at the end. */
function alterSystem(lines: readonly Line[], statement: string): Line[] {
  const [, name = '', value] = /^ALTER SYSTEM (?:SET|RESET) "(\w+)"(?: = '(.*)')?$/.exec(statement) ?? []
  assert.notEqual(name, '', `the model does not know ${statement}`)
  const others = lines.filter((line) => line.name.toLowerCase() !== name.toLowerCase())
  return value === undefined ? others : [...others, { name, value }]
}

/** Undoes until nothing is left to do, or until `patience` statements have run (a kill). */
function undo(lines: readonly Line[], change: LineChange, patience = Infinity): Line[] {
  let file = [...lines]
  for (let n = 0; n < patience; n++) {
    const next = nextUndo(file, change)
    if (!('statement' in next)) return file
    assert.ok(n < 100, 'the undo has an end')
    file = alterSystem(file, next.statement)
  }
  return file
}

function planned(lines: readonly Line[], name: string, value: string): LineChange {
  const before = lines.find((line) => line.name === name)
  return { name, value, before: before?.value ?? null, order: lines.map((line) => line.name) }
}

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f']
const files = fc
  .uniqueArray(fc.constantFrom(...NAMES), { maxLength: NAMES.length })
  .map((names): Line[] => names.map((name) => ({ name, value: `old ${name}` })))

describe('the undo of lines in postgresql.auto.conf', () => {
  test('puts any number of lines back where they stood, in any order of undoing, whatever was killed half-way', () => {
    const changes = fc.uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 })
    const kills = fc.array(fc.nat({ max: 7 }), { maxLength: 5 })
    fc.assert(
      fc.property(files, changes, kills, fc.infiniteStream(fc.nat()), (before, names, kills, picks) => {
        const all = names.map((name) => planned(before, name, `new ${name}`))
        let file = all.reduce((lines, change) => alterSystem(lines, setLine(change)), before)
        const open = [...all]
        while (open.length > 0) {
          const [change] = open.splice(picks.next().value! % open.length, 1)
          for (const patience of kills) file = undo(file, change!, patience)
          file = undo(file, change!)
          assert.equal(nextUndo(file, change!).state, 'restored')
        }
        assert.deepEqual(file, before)
      }),
    )
  })

  test('keeps what others set, added or removed meanwhile, and puts their new lines at the end', () => {
    const acts = fc.array(fc.record({ name: fc.constantFrom(...NAMES, 'x', 'y'), set: fc.boolean() }), { maxLength: 5 })
    fc.assert(
      fc.property(files, fc.constantFrom(...NAMES), acts, (before, name, acts) => {
        const change = planned(before, name, 'new')
        let file = alterSystem(before, setLine(change))
        for (const act of acts) {
          const line = { name: act.name, value: `their ${act.name}` }
          file = alterSystem(file, act.set ? setLine(line) : resetLine(act.name))
        }
        const after = undo(file, change)
        const others = (lines: Line[]): Line[] => lines.filter((line) => line.name !== name)
        const sorted = (lines: Line[]): Line[] => others(lines).sort((a, b) => (a.name < b.name ? -1 : 1))
        assert.deepEqual(sorted(after), sorted(file), 'no line of others is lost or changed')
        if (acts.some((act) => act.name === name)) {
          const theirs = file.find((line) => line.name === name)
          if (theirs !== undefined || change.before !== null)
            assert.deepEqual(after, file, 'what is theirs is left alone')
          return
        }
        const known = after.map((line) => line.name).filter((n) => change.order.includes(n))
        const order = change.order.filter((n) => known.includes(n))
        if (change.before === null) {
          assert.deepEqual(after, others(file), 'where there was no line nothing else moves')
        } else {
          assert.deepEqual(after.map((line) => line.name).slice(0, known.length), order)
        }
      }),
    )
  })

  test('never applied means nothing to do', () => {
    fc.assert(
      fc.property(files, fc.constantFrom(...NAMES), (before, name) => {
        assert.deepEqual(undo(before, planned(before, name, 'new')), before)
      }),
    )
  })

  test('moves only what has to move, each line once', () => {
    assert.equal(nextToMove(['a', 'b', 'c'], ['a', 'b', 'c']), undefined)
    assert.equal(nextToMove(['a', 'c', 'b'], ['a', 'b', 'c']), 'c')
    assert.equal(nextToMove(['x', 'a'], ['a']), 'x')
    assert.equal(nextToMove([], ['a', 'b']), undefined)
  })

  test('restores a line in the spelling it had', () => {
    const change: LineChange = { name: 'Work_Mem', value: '1MB', before: '8MB', order: ['work_mem'] }
    assert.deepEqual(nextUndo([{ name: 'work_mem', value: '1MB' }], change), {
      state: 'ours',
      statement: `ALTER SYSTEM SET "Work_Mem" = '8MB'`,
    })
  })
})

describe('a line as a statement', () => {
  test('quotes values and names, also those of extensions', () => {
    assert.equal(setLine({ name: 'a.b', value: `it's` }), `ALTER SYSTEM SET "a"."b" = 'it''s'`)
    assert.equal(setLine({ name: 'x"y', value: 'a\\b' }), String.raw`ALTER SYSTEM SET "x""y" =  E'a\\b'`)
  })

  test('gives the names of a list one by one', () => {
    assert.deepEqual(splitList('search_path', '"$user", Public ,"a""b, c"'), ['$user', 'public', 'a"b, c'])
    assert.deepEqual(splitList('shared_preload_libraries', '$libdir/Foo,bar'), ['$libdir/Foo', 'bar'])
    assert.equal(
      setLine({ name: 'search_path', value: '"$user", public' }),
      `ALTER SYSTEM SET "search_path" = '$user', 'public'`,
    )
    assert.equal(setLine({ name: 'search_path', value: '""' }), `ALTER SYSTEM SET "search_path" = ''`)
    assert.equal(setLine({ name: 'log_destination', value: 'stderr, csvlog' }).includes("'stderr, csvlog'"), true)
  })

  test('of a list that nobody knows how to quote is written only where it means the same either way (D21)', () => {
    const list = { name: 'output_libraries', list: true }
    assert.equal(setLine({ ...list, value: 'pgoutput' }), `ALTER SYSTEM SET "output_libraries" = 'pgoutput'`)
    for (const value of ['pgoutput, b', '"a b"', '', 'A', '$libdir/x']) {
      assert.ok(!isWritable({ ...list, value }), value)
      assert.throws(() => setLine({ ...list, value }), /cannot write the list/)
    }
    assert.ok(sameValue('output_libraries', 'pgoutput', '"pgoutput"', true))
    assert.deepEqual(
      nextUndo([{ name: 'output_libraries', value: '"pgoutput"' }], {
        ...list,
        value: 'pgoutput',
        before: null,
        order: [],
      }),
      { state: 'ours', statement: 'ALTER SYSTEM RESET "output_libraries"' },
    )
  })

  test('asks the server whether a setting takes several values, in no language and setting nothing (D21)', async () => {
    const asked: string[] = []
    const db = (answer: object) => ({
      query: (sql: string) => (asked.push(sql), Promise.reject(Object.assign(new Error('?'), answer))),
    })
    const setting = { name: 'new_names', vartype: 'string' }
    const one = { code: '22023', routine: 'flatten_set_variable_args' }
    assert.equal(await isUnknownList(db(one), setting), false)
    assert.equal(await isUnknownList(db({ code: '55P02', routine: 'set_config_option' }), setting), true)
    assert.equal(await isUnknownList({ query: () => Promise.resolve([]) }, setting), true)
    await assert.rejects(isUnknownList(db({ message: 'lost' }), setting), /lost/)
    assert.deepEqual(new Set(asked), new Set([`set local "new_names" = 'a', 'b'`]))
    for (const known of [
      { name: 'work_mem', vartype: 'integer' },
      { name: 'my.list', vartype: 'string' },
    ]) {
      assert.equal(await isUnknownList(db({}), known), false)
    }
  })

  test('two spellings of one list are the same value, but no line is not an empty one', () => {
    assert.ok(sameValue('search_path', '"$user",public', '"$user", "public"'))
    assert.ok(!sameValue('search_path', 'a', '"A"'))
    assert.ok(!sameValue('search_path', null, '""'))
    assert.ok(!sameValue('work_mem', '4MB', '4096kB'))
  })
})

describe('what a file loses when the server writes it anew', () => {
  const header = '# Do not edit this file manually!\n# It will be overwritten by the ALTER SYSTEM command.\n'

  test('is nothing for a file that only the server has written', () => {
    assert.deepEqual(lostOnRewrite(header), [])
    assert.deepEqual(lostOnRewrite(''), [])
    assert.deepEqual(lostOnRewrite(`${header}work_mem = '4MB'\nlog_line_prefix = '%m # \\\\ it''s '\n`), [])
  })

  test('is told by line number and name, without what stands there', () => {
    const said = lostOnRewrite(
      `${header}# the old password was hunter2\nwork_mem = 4MB\nlog_line_prefix = 'x' # hunter3\nwork_mem = '8MB'\n`,
    ).join('\n')
    assert.match(said, /comments in line 3, 5/)
    assert.match(said, /written by hand in line 4/)
    assert.match(said, /several lines for work_mem/)
    assert.doesNotMatch(said, /hunter/)
  })
})
