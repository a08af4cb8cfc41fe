/**
 * Lets Node run the TypeScript of this repository: `node --import ./scripts/ts.mjs FILE`. What it compiles is kept beside
 * the packages, by content, because most of what a test file costs is starting: hundreds of processes run one.
 */
import { register } from 'node:module'

register('./ts-hooks.mjs', import.meta.url)
process.setSourceMapsEnabled(true)
