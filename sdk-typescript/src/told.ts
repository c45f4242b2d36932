/** Messages about a change of state, for the log of the service. */

/**
 * What passes messages on to `onChange`, or to Node's warnings without one.
 *
 * A callback that fails, at once or as a promise, becomes a warning: it must neither stop what it is told about nor, as
 * an unhandled rejection, end the process.
 */
export function telling(onChange: ((message: string) => void) | undefined, code: string): (message: string) => void {
  const tell = onChange ?? ((message: string) => process.emitWarning(message, { code }));
  return (message) => {
    (async () => tell(message))().catch((error: unknown) =>
      process.emitWarning(`onChange failed: ${String(error)}; it was told: ${message}`, { code }),
    );
  };
}
