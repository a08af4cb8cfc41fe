/** What deploy/ hands out is accepted by the tools it is for, and names only metrics that there are. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse, stringify } from 'yaml'
import { makeMetrics } from '../../src/observe/metrics/index.ts'
import { prometheusMissing } from '../labs/prometheus.ts'
import { status } from '../fakes/status.ts'

interface Panel {
  id: number
  type: string
  title: string
  gridPos: { x: number; y: number; w: number; h: number }
  datasource?: { uid: string }
  targets?: { refId: string; expr: string; datasource: { uid: string } }[]
}

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const skip = prometheusMissing()

const alerts = parse(read('deploy/alerts.yml')) as {
  groups: { rules: { alert: string; expr: string; labels: object; annotations: Record<string, string> }[] }[]
}
const rules = alerts.groups.flatMap((group) => group.rules)
const dashboard = JSON.parse(read('deploy/grafana-dashboard.json')) as {
  panels: Panel[]
  templating: { list: { name: string; type: string }[] }
}
const exprs = dashboard.panels.flatMap((panel) => (panel.targets ?? []).map((target) => target.expr))

function promtool(...args: string[]): string {
  const { status: code, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8', cwd: root })
  assert.equal(code, 0, stdout + stderr)
  return stdout + stderr
}

/** Names as they are queried: a histogram is asked for by its parts. */
const known = new Set(
  makeMetrics()
    .describe()
    .flatMap(({ name, type }) =>
      type === 'histogram' ? ['bucket', 'sum', 'count'].map((part) => `${name}_${part}`) : [name],
    ),
)

function namesIn(text: string): string[] {
  return text.match(/\b(?:chaos|process|nodejs)_[a-z_]+\b/g) ?? []
}

test('every metric that an alert or a panel asks for is one that the daemon has', () => {
  const asked = [...rules.map((rule) => rule.expr), ...exprs, JSON.stringify(dashboard.templating)].flatMap(namesIn)
  assert.ok(asked.length > 50)
  assert.deepEqual(
    asked.filter((name) => !known.has(name)),
    [],
  )
})

test('every metric of our own is on the dashboard or in an alert, but for those that only say when', () => {
  const asked = new Set([...rules.map((rule) => rule.expr), ...exprs, JSON.stringify(dashboard)].flatMap(namesIn))
  const unseen = makeMetrics()
    .describe()
    .map(({ name }) => name)
    .filter((name) => name.startsWith('chaos_') && ![...asked].some((other) => other.startsWith(name)))
  assert.deepEqual(unseen.sort(), [
    'chaos_config_loaded_timestamp_seconds',
    'chaos_journal_appends_total',
    'chaos_stopping',
    'chaos_untrusted_targets',
  ])
})

test('every alert says what is wrong, what it means and what to do, and how bad it is', () => {
  for (const { alert, labels, annotations } of rules) {
    assert.match(alert, /^Chaos[A-Z]\w+$/)
    assert.deepEqual(Object.keys(annotations).sort(), ['description', 'runbook', 'summary'])
    for (const text of Object.values(annotations)) assert.ok(text.length > 20 && !text.endsWith('\n'), alert)
    assert.ok('severity' in labels)
  }
})

test('every alert has its test', () => {
  const tested = read('test/deploy/alerts.test.yml')
  assert.deepEqual(
    rules.filter(({ alert }) => !tested.includes(alert)).map(({ alert }) => alert),
    [],
  )
})

test('the dashboard is one that Grafana can lay out: every panel has a place of its own and its data source is chosen', () => {
  const { panels, templating } = dashboard
  assert.equal(templating.list.find(({ name }) => name === 'datasource')?.type, 'datasource')
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  const taken = new Set<string>()
  for (const { title, type, gridPos, targets = [], datasource } of panels) {
    const { x, y, w, h } = gridPos
    assert.ok(x >= 0 && x + w <= 24, title)
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        assert.ok(!taken.has(`${column},${line}`), `${title} lies over another panel`)
        taken.add(`${column},${line}`)
      }
    }
    if (type === 'row') continue
    assert.ok(targets.length > 0, title)
    assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length)
    for (const uid of [datasource?.uid, ...targets.map((t) => t.datasource.uid)]) assert.equal(uid, '${datasource}')
  }
})

test('Prometheus accepts the alert rules and its own configuration', { skip }, () => {
  assert.match(promtool('check', 'rules', 'deploy/alerts.yml'), /SUCCESS/)
  assert.match(promtool('check', 'config', 'deploy/prometheus.yml'), /SUCCESS/)
})

test('the alerts come when they should and not earlier', { skip }, () => {
  assert.match(promtool('test', 'rules', 'test/deploy/alerts.test.yml'), /SUCCESS/)
})

test('Prometheus can read every query of the dashboard', { skip }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-deploy-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const filled = exprs.map((expr, n) => ({
    record: `panel:expr:${n}`,
    expr: expr.replaceAll('$__rate_interval', '5m').replaceAll(/\$(job|instance)/g, '.*'),
  }))
  assert.ok(filled.every(({ expr }) => !expr.includes('$')))
  writeFileSync(join(folder, 'panels.yml'), stringify({ groups: [{ name: 'panels', rules: filled }] }))
  assert.match(promtool('check', 'rules', join(folder, 'panels.yml')), new RegExp(`${exprs.length} rules found`))
})

test('Prometheus has nothing to say against the names, units and help texts', { skip }, async () => {
  const {
    status: code,
    stdout,
    stderr,
  } = spawnSync('promtool', ['check', 'metrics'], {
    encoding: 'utf8',
    input: await makeMetrics().text(status()),
  })
  assert.deepEqual([code, stdout + stderr], [0, ''])
})
