/** Reads a text file that a person wrote, or says why it cannot be read. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { ConfigError, messageOf } from '../core/errors.ts'

/** Larger than any configuration; a device without an end must not fill the memory. */
const LARGEST_BYTES = 16 * 2 ** 20

/** The text of a UTF-8 file or pipe, without a byte order mark. Throws ConfigError. */
export async function readText(file: string): Promise<string> {
  const bytes = await readBytes(file)
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    throw fileError(file, 'is UTF-16: save it as UTF-8')
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    const before = new TextDecoder().decode(bytes).split('\ufffd', 1)[0] ?? ''
    const lines = before.split('\n')
    const column = (lines.at(-1)?.length ?? 0) + 1
    throw fileError(file, 'is not UTF-8 from here on: save the file as UTF-8', lines.length, column)
  }
}

async function readBytes(file: string): Promise<Buffer> {
  try {
    const info = await stat(file)
    if (info.isDirectory()) throw fileError(file, 'is a folder: name a YAML file in it')
    if (!info.isFile() && !info.isFIFO()) throw fileError(file, 'is neither a file nor a pipe: name a YAML file')
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > LARGEST_BYTES) {
        throw fileError(file, `is larger than ${LARGEST_BYTES / 2 ** 20} MiB: this does not look like a configuration`)
      }
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw fileError(file, whyNot(file, error))
  }
}

function whyNot(file: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT') return `does not exist (looked for ${resolve(file)}): check the path`
  if (code === 'ENOTDIR') return `does not exist: a part of the path ${resolve(file)} is a file, not a folder`
  if (code === 'EACCES' || code === 'EPERM') return 'may not be read by this user: check its owner and mode'
  return `cannot be read: ${messageOf(error)}`
}

function fileError(file: string, message: string, line = 0, column = 0): ConfigError {
  return new ConfigError([{ file, line, column, path: '', message }])
}
