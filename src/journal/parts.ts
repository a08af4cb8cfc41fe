/** The files of one run: `<run>.jsonl`, and where it went on after an error of the disk: `<run>.2.jsonl`, `<run>.3.jsonl`… */
import { basename, dirname } from 'node:path'
import type { Disk } from './disk.ts'

/** A disk that has failed so often will not do better in a tenth file. */
export const LAST_PART = 9

/** `file` is the run's first. */
export function partFile(file: string, part: number): string {
  return part === 1 ? file : `${file.slice(0, -'.jsonl'.length)}.${part}.jsonl`
}

/** Undefined for names of other files. */
export function partOf(name: string): { run: string; part: number } | undefined {
  const found = /^([^.].*?)(?:\.([2-9]))?\.jsonl$/.exec(name)
  return found?.[1] === undefined ? undefined : { run: found[1], part: Number(found[2] ?? 1) }
}

/** Which parts of a run are there, oldest first. Empty where the folder cannot be listed. */
export async function partsOf(file: string, disk: Disk): Promise<number[]> {
  const run = basename(file, '.jsonl')
  const names = await disk.list(dirname(file)).catch(() => [])
  return names
    .map(partOf)
    .flatMap((found) => (found?.run === run ? [found.part] : []))
    .sort((a, b) => a - b)
}
