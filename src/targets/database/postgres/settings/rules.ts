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
}

/** Settings that are refused, and why. The first match counts. */
const REFUSED: readonly [RegExp, string][] = [
  [/^allow_alter_system$/, 'without ALTER SYSTEM the change could not be undone'],
  [/^transaction_(isolation|read_only|deferrable)$/, 'it belongs to one transaction and cannot stand in a file'],
  [
    /^(fsync|full_page_writes|wal_sync_method|zero_damaged_pages|ignore_.*|data_sync_retry|allow_system_table_mods|allow_in_place_tablespaces)$/,
    'it can destroy data for good',
  ],
  [
    /^(archive_.*|restore_.*|recovery_.*|primary_.*|promote_.*|wal_keep_.*|max_slot_wal_keep_size|idle_replication_slot_timeout|sync_replication_slots|synchronized_standby_slots|wal_summary_keep_time|summarize_wal|wal_consistency_checking)$/,
    'it can break backups, archives or standbys for good',
  ],
  [/^restart_after_crash$/, 'the server would stay down after a crash, with the change in place'],
  [
    /^(session_replication_role|event_triggers)$/,
    'foreign keys and triggers would not be enforced, and what slips in meanwhile stays',
  ],
  [
    /^(password_encryption|scram_iterations|createrole_self_grant|lo_compat_privileges)$/,
    'it weakens who may do what, and what is created meanwhile stays that way',
  ],
  [
    /^(ssl|ssl_.*|krb_.*|gss_.*|oauth_.*|db_user_namespace|authentication_timeout|(pre|post)_auth_delay)$/,
    'nobody might be able to connect any more, and neither could the undo',
  ],
  [
    /(_preload_libraries|_library|_library_path|_control_path|_destdir|_command)$/,
    "it decides which code the server runs, and with a wrong one no session starts, not even the undo's",
  ],
  [
    /(_file|_dir|_directory|_directories|_filename)$|^(log_truncate_on_rotation|jit_dump_bitcode|jit_profiling_support)$/,
    'files would be lost, or others left behind',
  ],
  [/^client_encoding$/, 'text would be stored in wrong letters, and stay that way'],
]

/** A text that names code or files, whatever server or extension it is of. */
const NAMES_CODE =
  /(^|[._])(library|libraries|plugins?|modules?|providers?|commands?|cmd|programs?|scripts?|hooks?|executables?|shell|files?|filename|dirs?|destdir|directory|directories|folders?|paths?|libdir|location|on_(plperlu?_)?init|start_proc)($|_)/
/** `search_path` is a path of schemas; the file of `timezone_abbreviations` only says how dates are read. */
const NAMES_NO_CODE = ['search_path', 'timezone_abbreviations']

/** Has such a word in its name, and is on or off. */
const TELLS_NO_CODE = ['log_replication_commands']

/** Of each category of the server that has dangerous settings, one: categories are told in the server's language. */
const RISKY = [
  ...['fsync', 'archive_command', 'restore_command', 'recovery_target', 'recovery_prefetch', 'summarize_wal'],
  ...['primary_conninfo', 'max_slot_wal_keep_size', 'synchronous_standby_names', 'zero_damaged_pages'],
  ...['restart_after_crash', 'data_directory', 'session_preload_libraries'],
  ...['ssl', 'password_encryption', 'listen_addresses', 'tcp_keepalives_idle'],
]

/** The settings of those categories that only hurt while they last. What is not here is newer than this program. */
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

/** Categories of this server in which a setting that we do not know may be dangerous. */
export function riskyCategories(settings: ReadonlyMap<string, Pick<Setting, 'category'>>): ReadonlySet<string> {
  return new Set(RISKY.flatMap((name) => settings.get(name)?.category ?? []))
}

/** Why this setting is never changed by us; undefined when it may be. `risky` as riskyCategories gives it. */
export function whyRefused(
  setting: Pick<Setting, 'name' | 'context' | 'category' | 'vartype'>,
  risky: ReadonlySet<string>,
): string | undefined {
  const name = setting.name.toLowerCase()
  if (setting.context === 'internal') return 'it cannot be changed'
  const dangerous = REFUSED.find(([pattern]) => pattern.test(name))?.[1]
  if (dangerous !== undefined) return dangerous
  if (setting.vartype === 'string' && NAMES_CODE.test(name) && !NAMES_NO_CODE.includes(name)) {
    return 'it names libraries, commands or files of the server, and with a wrong one nobody might get in, not even the undo'
  }
  if (setting.context === 'postmaster') return 'a change takes effect only when the server restarts'
  if (risky.has(setting.category) && !HARMLESS.includes(name)) {
    return `this version of chaos-agents does not know it, and others of its kind (${setting.category}) can do lasting damage`
  }
  return undefined
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
