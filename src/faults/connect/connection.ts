/** How an application listens, and what it has then. */
import type { Chaos } from '../chaos.ts'

export interface ConnectOptions {
  /** The application's name: the daemon's `target_config` must say the same. */
  app: string
  /** Path of a unix socket that only this user may open. Of several instances each has its own, in one folder. */
  socket?: string
  /** Or an address, with a secret of at least 16 characters. Port 0: any that is free. */
  http?: { host?: string; port: number; token: string }
  /** The switch and registry to offer; the application's unless told. */
  chaos?: Chaos
}

export interface ChaosConnection {
  /** The socket's path, or the URL. */
  readonly address: string
  /** Of this start of the process. */
  readonly instance: string
  /** Ends every lease and listens no more. */
  close(): Promise<void>
}
