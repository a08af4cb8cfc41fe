/** docs/metrics.md describes exactly the metrics and alerts that there are. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { makeMetrics } from '../../src/observe/metrics/index.ts'

const doc = read('docs/metrics.md')

function read(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
}

test('every metric is in the table as the daemon describes it, and no other', () => {
  const rows = doc.split('\n').filter((line) => /^\| `(chaos|process|nodejs)_/.test(line))
  const expected = makeMetrics()
    .describe()
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, type, labels, help }) => {
      return `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`
    })
  assert.deepEqual(rows, expected)
})

test('every alert is in the table, and no other', () => {
  const { groups } = parse(read('deploy/alerts.yml')) as { groups: { rules: { alert: string }[] }[] }
  const names = [...doc.matchAll(/^\| `(Chaos\w+)` \|/gm)].map((match) => match[1])
  assert.deepEqual(
    names,
    groups.flatMap((group) => group.rules.map((rule) => rule.alert)),
  )
})
