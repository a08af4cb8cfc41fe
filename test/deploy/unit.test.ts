/** The systemd unit, looked at without starting it: how much of the machine it could reach, and how much memory it may take. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const unit = fileURLToPath(new URL('../../systemd/chaos.service', import.meta.url))
const skip = spawnSync('systemd-analyze', ['--version']).error ? 'systemd-analyze is not there' : false

test('the exposure of the unit is at most 2.0, by systemd-analyze security', { skip }, (t) => {
  const { stdout, stderr } = spawnSync('systemd-analyze', ['security', '--no-pager', '--offline=yes', unit], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  const [, exposure] = /Overall exposure level for chaos\.service: ([\d.]+)/.exec(stdout) ?? []
  assert.ok(Number(exposure) <= 2.0, stdout + stderr)
  t.diagnostic(`exposure ${exposure}`)
})

test('F12: the unit and the compose example bound the memory, and leave no core dump with a password in it', () => {
  assert.match(readFileSync(unit, 'utf8'), /^MemoryMax=\d+G$/m)
  assert.match(readFileSync(unit, 'utf8'), /^LimitCORE=0$/m)
  const docs = readFileSync(new URL('../../docs/service.md', import.meta.url), 'utf8')
  assert.match(docs, /^ {4}mem_limit: \d+g/m)
  assert.match(docs, /^ {4}ulimits: \{ core: 0 \}/m)
})
