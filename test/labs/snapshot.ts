/** Snapshots of a PostgreSQL database, and how two of them differ; the demo proves its rollback with the same. */
export { diff, snapshot, type Snapshot, type SnapshotOptions } from '../../scripts/snapshot.ts'
