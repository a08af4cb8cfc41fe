/** What somebody who can write a journal puts into it: words that would be a statement, a command, a signal or a connection elsewhere. */

/** What must not be run, ended or asked; each draw of the fuzz looks at them. */
export interface Bait {
  /** A file that a command of theirs would make. */
  canary: string
  /** A port of this machine that nothing has a reason to ask. */
  trap: number
  /** A process that is not ours. */
  victim: { pid: number; start: string }
  /** A session of an application, under our own role. */
  session: { pid: string; start: string; name: string }
  /** The real server, and the oid of a table on it that is a stranger's. */
  url: string
  oid: string
}

/** Texts for every place that has one. Functions, operators and types of schema `m` tell when they are called. */
export function hostileTexts({ canary, trap, victim, session, url, oid }: Bait): readonly string[] {
  const touch = `touch ${canary}`
  const copy = `copy (select 1) to program '${touch}'`
  return [
    // SQL
    ...[`'; select m.tell('x'); --`, `"; select m.tell('x'); --`, `'); ${copy}; --`, `int4); ${copy}--`],
    ...[`= 7 or m.ok(1) or t.id =`, `OPERATOR(m.===)`, `operator(m.===) any`, `m.evil`, `"m"."evil"`, `m.evil[]`],
    ...[
      `integer) as k0, m.txt('x') as x --`,
      `text collate "m"."c"`,
      `text as k0, m.txt('x')::text`,
      `integer or m.ok(1)`,
    ],
    ...[
      `$chaos$; select m.tell('x'); do $chaos$`,
      `$chaos_$ $chaos$`,
      `$$; select m.tell('x'); $$`,
      `\\'; select m.tell('b'); --`,
    ],
    ...[
      `E'\\'`,
      `' || m.txt('x') || '`,
      `1); select m.tell('x'); select (1`,
      `*/ select m.tell('x'); /*`,
      `m.things`,
      `m`,
      `things`,
    ],
    // psql
    ...[
      `x\n\\! ${touch}\n`,
      `\\! ${touch}`,
      `";\n\\! ${touch}\n"`,
      `';\n\\! ${touch}\n'`,
      `x \\gexec`,
      `x';\n${copy};\n--`,
      `:'x'`,
      `:"x"`,
      ':`' + touch + '`',
    ],
    ...[`x\n\\copy (select 1) to program '${touch}'\n`, '`' + touch + '`', `select '${copy}' \\gexec`, `\\o |${touch}`],
    // sh
    ...[
      `$(${touch})`,
      `'; ${touch}; '`,
      `"; ${touch}; "`,
      `x\n${touch}\n#`,
      `x\r\n${touch}\r\n`,
      `x\nCHAOS\n${touch}\n#`,
      `CHAOS\n${touch}`,
    ],
    ...[
      `x\nCHAOS_\n${touch}\n`,
      `x\u2028${touch}`,
      `x\u0085${touch}\u0085`,
      `x\u0000\n${touch}\n`,
      `' || ${touch} || '`,
      `\\\n${touch}`,
    ],
    // what cannot be seen
    ...[
      '\u001b[2J\u001b]0;x\u0007',
      '\u202ereversed',
      '\u200b',
      '\ud800',
      '\u0000',
      '\u009b31m',
      '\r\u001b[2Kdone',
      '😀',
    ],
    // names of objects, numbers, dates and paths
    ...[
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      '',
      ' ',
      'x'.repeat(5_000),
      '{',
      '[]',
      'null',
      'true',
    ],
    ...[
      '9223372036854775807',
      '-9223372036854775808',
      '99999999999999999999',
      '1e999',
      'NaN',
      '0x10',
      '-1',
      '0',
      '1',
      '3',
    ],
    ...[
      'infinity',
      '-infinity',
      '2026-11-25 19:21:01+00',
      'epoch',
      '../../../../etc/passwd',
      '/etc/passwd',
      '/dev/zero',
      '.',
      '*',
    ],
    ...[
      'archive_command',
      'session_preload_libraries',
      'work_mem',
      touch,
      `'${touch}'`,
      `(${'a+'.repeat(20)})+$`,
      '*a'.repeat(60),
    ],
    // processes, sessions and other servers
    ...[String(victim.pid), victim.start, session.pid, session.start, session.name, oid],
    ...[
      `postgres://postgres@127.0.0.1:${trap}/postgres`,
      `http://127.0.0.1:${trap}`,
      `127.0.0.1:${trap}`,
      String(trap),
    ],
    ...[
      url,
      `${url}?options=-c%20search_path%3Dm`,
      `postgres:///postgres?host=/tmp&port=${trap}`,
      '/var/run/docker.sock',
    ],
  ]
}

export const HOSTILE_NUMBERS: readonly number[] = [
  ...[0, -1, 1, 1.5, 2 ** 31, 2 ** 32, 2 ** 53 - 1, -(2 ** 53), 1e308, -1e308, 5e-324, 100_000],
]

/** Of another kind than whatever stands there. `text` fills them. */
export function wrongKinds(text: string): readonly unknown[] {
  return [
    ...[
      null,
      true,
      false,
      [],
      {},
      [null],
      [[[]]],
      [text],
      [[text]],
      { [text]: text },
      { toString: text },
      { length: 1e9 },
    ],
    JSON.parse(`{"__proto__": {"polluted": ${JSON.stringify(text)}, "mark": ${JSON.stringify(text)}}}`),
    JSON.parse(`{"constructor": {"prototype": {"polluted": 1}}}`),
    deep(400, text),
  ]
}

function deep(levels: number, text: string): unknown {
  let value: unknown = text
  for (let i = 0; i < levels; i++) value = i % 2 ? [value] : { x: value }
  return value
}
