/**
 * What root writes into another user's folder becomes that user's: else root, once there, would shut its owner out of the
 * journals that are to be undone.
 */
import { constants, fchownSync, fstatSync, statSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { openRegular } from './regular.ts'

/** Whose what is in that folder should be; undefined where everything is as it should be by itself. */
function ownerOf(folder: string): { uid: number; gid: number } | undefined {
  if (process.geteuid?.() !== 0) return undefined
  const { uid, gid } = statSync(folder)
  return uid === 0 ? undefined : { uid, gid }
}

/**
 * Gives an open file of root to the owner of its folder. By its descriptor: a path could be another file by now. A file
 * with a second name may be one that somebody wants to be given.
 */
export function giveToOwner(fd: number, path: string): void {
  const owner = ownerOf(dirname(path))
  if (!owner) return
  const found = fstatSync(fd)
  const { uid, nlink } = found
  const isFolder = found.isDirectory()
  if (uid !== 0 || !(isFolder || nlink === 1)) return
  try {
    fchownSync(fd, owner.uid, owner.gid)
  } catch {
    // A file system without owners, or one that does not let root decide.
  }
}

/** The same for a folder that we have just made. */
export async function giveFolderToOwner(path: string): Promise<void> {
  if (!ownerOf(dirname(path))) return
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    giveToOwner(handle.fd, path)
  } finally {
    await handle.close()
  }
}

/** Appends to a file, 0600 when it is made. Durable when it resolves. */
export async function appendAsOwner(path: string, text: string): Promise<void> {
  const { O_WRONLY, O_CREAT, O_APPEND } = constants
  const file = await openRegular(path, O_WRONLY | O_CREAT | O_APPEND)
  try {
    giveToOwner(file.fd, path)
    await file.appendFile(text)
    await file.datasync()
  } finally {
    await file.close()
  }
}

/** Replaces a file as a whole, 0600; after a crash it is the old or the new one, or of no length. */
export async function replaceAsOwner(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`
  await rm(temporary, { force: true })
  const { O_WRONLY, O_CREAT, O_EXCL } = constants
  const file = await openRegular(temporary, O_WRONLY | O_CREAT | O_EXCL)
  try {
    giveToOwner(file.fd, path)
    await file.writeFile(text)
  } finally {
    await file.close()
  }
  await rename(temporary, path)
}
