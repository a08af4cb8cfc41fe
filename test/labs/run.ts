/**
 * The labs by hand: `npm run labs -- up [N] | status | down`.
 *
 * `up` makes and boots N hosts (3 unless said) and says how to reach them; again, it boots those that are down.
 */
import { fleets, hostsMissing, removeHosts, startHosts } from './hosts.ts'

const NAME = 'hand'
const [command = '', count = '3', ...rest] = process.argv.slice(2)
const reason = hostsMissing()

if (!['up', 'status', 'down'].includes(command) || !/^([1-9]|[1-9]\d)$/.test(count) || rest.length > 0) {
  console.error('usage: npm run labs -- up [N] | status | down')
  process.exitCode = 2
} else if (reason !== undefined) {
  console.error(reason)
  process.exitCode = 1
} else if (command === 'up') {
  const { hosts, key } = await startHosts({ name: NAME, count: Number(count) })
  for (const { name, address } of hosts) console.log(`${name}: ssh -i ${key} root@${address} (or chaos@)`)
} else if (command === 'down') {
  console.log((await removeHosts(NAME)) ? 'removed' : 'there are no hosts')
} else {
  for (const { name, hosts } of fleets())
    for (const host of hosts) console.log(`${name} ${host.name} ${host.address} ${host.running ? 'up' : 'down'}`)
}
