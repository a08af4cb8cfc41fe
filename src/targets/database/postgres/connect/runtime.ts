/**
 * Says that this is Node, as Node does by itself from 21 on. On Node 20 pg would make a `Response` to find out, which loads
 * all of `fetch`: a fifth of the processor time of a run. To be imported before pg.
 */
if (!('navigator' in globalThis))
  Object.defineProperty(globalThis, 'navigator', {
    value: { userAgent: `Node.js/${process.versions.node.split('.')[0] ?? ''}` },
    configurable: true,
  })
