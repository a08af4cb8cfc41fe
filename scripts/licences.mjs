// `npm run licences`: the licence of everything that is shipped, from package-lock.json; fails on one that is not known.
import { readFileSync } from 'node:fs'

const KNOWN = new Set(['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'BlueOak-1.0.0', 'MPL-2.0'])

const { packages } = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'))
const shipped = Object.entries(packages).filter(([path, { dev, devOptional }]) => path !== '' && !dev && !devOptional)
let unknown = 0
for (const [path, { version, license = 'none', hasInstallScript }] of shipped) {
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
  const remarks = [KNOWN.has(license) ? '' : 'NOT KNOWN', hasInstallScript ? 'RUNS AN INSTALL SCRIPT' : ''].filter(
    Boolean,
  )
  unknown += remarks.length
  console.log([name.padEnd(28), version.padEnd(10), license, ...remarks].join('  '))
}
console.log(
  `${shipped.length} packages, ${unknown === 0 ? 'all licences known, no install script' : `${unknown} to look at`}`,
)
process.exitCode = unknown === 0 ? 0 : 1
