/** Which PostgreSQL settings may be changed for a while, and which values they take: decided without touching the server. */

/** A row of pg_settings. */
export interface Setting {
  name: string
  /** In `unit`, as the server prints it. */
  setting: string
  unit: string | null
  context: string
  /** In the server's language. */
  category: string
  vartype: string
  source: string
  min_val: string | null
  max_val: string | null
  enumvals: string[]
  boot_val: string | null
  /** As pg_settings_get_flags tells them; none before PostgreSQL 15. */
  flags: string[]
}

const CUTS_OFF =
  'nobody might be able to connect any more, and neither could the undo, or who may do what changes for good'
const DAMAGES = 'it can destroy data for good'
const BREAKS_COPIES = 'it can break backups, archives or standbys for good'
const RUNS_CODE = "it decides which code the server runs, and with a wrong one no session starts, not even the undo's"

/**
 * Kinds of settings that can do lasting damage. A kind is a category of the server, and the server tells categories in its own
 * language: so each is told by one setting that stands in it and that every role may see. All of a kind are refused, those of tomorrow too, but the harmless.
 */
const DANGEROUS: readonly [string, string][] = [
  ['fsync', DAMAGES],
  ['zero_damaged_pages', DAMAGES],
  ['archive_command', BREAKS_COPIES],
  ['restore_command', BREAKS_COPIES],
  ['recovery_target', BREAKS_COPIES],
  ['recovery_prefetch', BREAKS_COPIES],
  ['summarize_wal', BREAKS_COPIES],
  ['hot_standby', BREAKS_COPIES],
  ['max_slot_wal_keep_size', BREAKS_COPIES],
  ['synchronous_standby_names', BREAKS_COPIES],
  ['restart_after_crash', 'the server would stay down after a crash, with the change in place'],
  ['local_preload_libraries', RUNS_CODE],
  ['ssl', CUTS_OFF],
  ['password_encryption', CUTS_OFF],
  ['listen_addresses', CUTS_OFF],
  ['tcp_keepalives_idle', CUTS_OFF],
]

/** Exceptions: settings of a dangerous kind that only hurt while they last. */
const HARMLESS = `
  wal_compression wal_init_zero wal_recycle wal_skip_threshold wal_writer_delay wal_writer_flush_after commit_delay
  commit_siblings synchronous_commit synchronous_standby_names vacuum_defer_cleanup_age wal_sender_timeout
  hot_standby_feedback max_standby_archive_delay max_standby_streaming_delay wal_receiver_create_temp_slot
  wal_receiver_status_interval wal_receiver_timeout wal_retrieve_retry_interval track_commit_timestamp
  md5_password_warnings client_connection_check_interval tcp_keepalives_count tcp_keepalives_idle
  tcp_keepalives_interval tcp_user_timeout backtrace_functions debug_discard_caches force_parallel_mode
  debug_parallel_query debug_logical_replication_streaming logical_replication_mode jit_debugging_support
  jit_expressions jit_tuple_deforming remove_temp_files_after_crash send_abort_for_crash send_abort_for_kill
  trace_notify trace_recovery_messages trace_sort trace_locks trace_lwlocks trace_userlocks trace_lock_oidmin
  trace_lock_table debug_deadlocks log_btree_build_stats wal_debug exit_on_error`
  .trim()
  .split(/\s+/)

/** Exceptions: dangerous settings of which neither category nor type nor flags tell, because their like are harmless. */
const REFUSED: readonly [RegExp, string][] = [
  [/^allow_alter_system$/, 'without ALTER SYSTEM the change could not be undone'],
  [
    /^(session_replication_role|event_triggers)$/,
    'foreign keys and triggers would not be enforced, and what slips in meanwhile stays',
  ],
  [
    /^(createrole_self_grant|lo_compat_privileges)$/,
    'it weakens who may do what, and what is created meanwhile stays that way',
  ],
  [/^log_truncate_on_rotation$/, 'files would be lost, or others left behind'],
  [/^client_encoding$/, 'text would be stored in wrong letters, and stay that way'],
  // A server before 15 tells no flags.
  [/^transaction_(isolation|read_only|deferrable)$/, 'it belongs to one transaction and cannot stand in a file'],
]

/** A text that names code or files, whatever server or extension it is of. */
const NAMES_CODE =
  /(^|[._])(library|libraries|plugins?|modules?|providers?|commands?|cmd|programs?|scripts?|hooks?|executables?|shell|files?|filename|dirs?|destdir|directory|directories|folders?|paths?|libdir|location|on_(plperlu?_)?init|start_proc)($|_)/
/** Exceptions: `search_path` is a path of schemas; the file of `timezone_abbreviations` only says how dates are read. */
const NAMES_NO_CODE = ['search_path', 'timezone_abbreviations']
/** A value that is the path of a file or a folder, or the name of a library. */
const FILE = /^(?:\.{0,2}\/|[a-z]:[\\/])|\$libdir|\$system|\.(?:so|dll|dylib)\b/i

/** Exception: has such a word in its name, and is on or off. */
const TELLS_NO_CODE = ['log_replication_commands']

/** Why settings are refused, by the categories of this server that are dangerous. */
export function dangerousCategories(
  settings: ReadonlyMap<string, Pick<Setting, 'category'>>,
): ReadonlyMap<string, string> {
  return new Map(
    DANGEROUS.flatMap(([name, why]) => {
      const category = settings.get(name)?.category
      return category === undefined ? [] : [[category, why] as const]
    }),
  )
}

/** Why this setting is never changed by us; undefined when it may be. `dangerous` as dangerousCategories gives it. */
export function whyRefused(setting: Setting, dangerous: ReadonlyMap<string, string>): string | undefined {
  const name = setting.name.toLowerCase()
  if (setting.context === 'internal') return 'it cannot be changed'
  const exception = REFUSED.find(([pattern]) => pattern.test(name))?.[1]
  if (exception !== undefined) return exception
  if (setting.flags.includes('NO_RESET')) return 'it belongs to one transaction and cannot stand in a file'
  if (namesCode(setting))
    return 'it names libraries, commands or files of the server, and with a wrong one nobody might get in, not even the undo'
  const why = HARMLESS.includes(name) ? undefined : dangerous.get(setting.category)
  if (why !== undefined) return `${why}, as others of its kind (${setting.category})`
  if (setting.context === 'postmaster') return 'a change takes effect only when the server restarts'
  return undefined
}

function namesCode({ name, vartype, setting, boot_val }: Setting): boolean {
  if (vartype !== 'string' || NAMES_NO_CODE.includes(name.toLowerCase())) return false
  return NAMES_CODE.test(name.toLowerCase()) || FILE.test(setting) || FILE.test(boot_val ?? '')
}

/**
 * Whether a setting names code or commands that the server runs: of these an undo only takes a line away, and never writes one.
 * Only texts do; `vartype` is what the server says, undefined where it cannot be asked.
 */
export function decidesCode(name: string, vartype?: string): boolean {
  if (vartype === undefined ? TELLS_NO_CODE.includes(name.toLowerCase()) : vartype !== 'string') return false
  return /(^|[._])(library|libraries|plugins?|modules?|providers?|commands?|cmd|programs?|scripts?|hooks?|executables?|shell|library_path|on_(plperlu?_)?init|start_proc)($|_)/i.test(
    name,
  )
}

/** Why this value (as readValue gives it) is never set by us; undefined when it may be. */
export function whyValueRefused({ name }: Pick<Setting, 'name'>, value: string): string | undefined {
  if (name === 'transaction_timeout' && Number(value) > 0 && Number(value) < 1_000) {
    return 'a login is a transaction too, and below one second nobody might get in any more, not even the undo'
  }
  return undefined
}

/** Worth a word beforehand: harmless to the data that is there, but not to what the application does meanwhile. */
export function caution(name: string): string | undefined {
  if (/^synchronous_commit$/i.test(name)) {
    return 'synchronous_commit: should the server crash meanwhile, the application may lose its last commits'
  }
  if (
    /^(datestyle|intervalstyle|timezone|standard_conforming_strings|backslash_quote|array_nulls|transform_null_equals|xmloption|search_path|default_tablespace|default_table_access_method)$/i.test(
      name,
    )
  ) {
    return `${name}: the application's statements may mean something else meanwhile, and what it writes then stays`
  }
  return undefined
}

/** What `text` means for the setting, as pg_settings would print it; or what is wrong with it and what is allowed. */
export function readValue(setting: Setting, text: string): { value: string } | { problem: string } {
  const refuse = (allowed: string): { problem: string } => ({
    problem: `${setting.name} does not take ${JSON.stringify(text)}: ${allowed}`,
  })
  switch (setting.vartype) {
    case 'bool': {
      const value = readBoolean(text)
      return value === undefined ? refuse('write on or off') : { value }
    }
    case 'enum': {
      const value = setting.enumvals.find((known) => known.toLowerCase() === text.trim().toLowerCase())
      return value === undefined ? refuse(`write one of ${setting.enumvals.join(', ')}`) : { value }
    }
    case 'integer':
    case 'real': {
      const value = readNumber(text, setting)
      if (value === undefined) return refuse(`write ${range(setting)}`)
      if (value < Number(setting.min_val ?? -Infinity) || value > Number(setting.max_val ?? Infinity)) {
        return refuse(`it must be ${range(setting)}`)
      }
      return { value: String(value) }
    }
    default:
      return /[\n\0]/.test(text) ? refuse('a value is one line of text') : { value: text }
  }
}

/** Whether two values of pg_settings (or from readValue) are one: `1e+06` is `1000000`, and `0600` is `384`. */
export function sameSetting(vartype: string, a: string, b: string): boolean {
  if (vartype === 'integer') return a === b || wholeNumber(a) === wholeNumber(b)
  return a === b || (vartype === 'real' && Number(a) === Number(b))
}

function readBoolean(text: string): 'on' | 'off' | undefined {
  const word = text.trim().toLowerCase()
  if (word === '') return undefined
  if (['true', 'yes', '1'].some((w) => w.startsWith(word)) || word === 'on') return 'on'
  if (['false', 'no', '0'].some((w) => w.startsWith(word)) || 'off'.startsWith(word.padEnd(2, ' '))) return 'off'
  return undefined
}

const BYTES: Record<string, number> = { B: 1, kB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30, TB: 2 ** 40 }
const MILLISECONDS: Record<string, number> = { us: 1e-3, ms: 1, s: 1e3, min: 6e4, h: 3.6e6, d: 8.64e7 }

/** In the setting's own unit; undefined when it is no number or the unit does not fit. */
function readNumber(text: string, { unit, vartype }: Setting): number | undefined {
  const [, number, given] =
    /^\s*([+-]?(?:0x[\da-f]+|\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?))\s*([A-Za-z]*)\s*$/i.exec(text) ?? []
  if (number === undefined || given === undefined) return undefined
  const factor = given === '' ? 1 : unitFactor(given, unit)
  if (factor === undefined) return undefined
  const value = (vartype === 'integer' ? wholeNumber(number) : Number(number)) * factor
  if (!Number.isFinite(value)) return undefined
  // The server prints a real with six digits.
  return vartype === 'integer' ? Math.round(value) : Number(value.toPrecision(6))
}

/** Also `0x10` and `010`, which the server reads as sixteen and eight. */
function wholeNumber(text: string): number {
  const [, sign, hex, octal] = /^([+-]?)(?:0x([\da-f]+)|0([0-7]+))$/i.exec(text) ?? []
  if (sign === undefined) return Number(text)
  return (sign === '-' ? -1 : 1) * (hex === undefined ? parseInt(octal ?? '', 8) : parseInt(hex, 16))
}

/** How many of the setting's units (`8kB`, `ms`) one of the given unit is. */
function unitFactor(given: string, unit: string | null): number | undefined {
  const [, count, base] = /^(\d*)([A-Za-z]+)$/.exec(unit ?? '') ?? []
  if (base === undefined) return undefined
  const table = base in BYTES ? BYTES : MILLISECONDS
  const [one, ours] = [table[given], table[base]]
  return one === undefined || ours === undefined ? undefined : one / ours / Number(count === '' ? 1 : count)
}

function range({ vartype, unit, min_val, max_val }: Setting): string {
  const kind = vartype === 'integer' ? 'a whole number' : 'a number'
  const bounds = min_val !== null && max_val !== null ? ` from ${min_val} to ${max_val}` : ''
  const table = unit === null ? {} : /B$/.test(unit) ? BYTES : MILLISECONDS
  return unit === null
    ? kind + bounds
    : `${kind}${bounds} in units of ${unit}, or with a unit (${Object.keys(table).join(', ')})`
}
