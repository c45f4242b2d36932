/** Messages about a change of state, for the log of the service. */

/**
 * What passes messages on to `onChange`, or to Node's warnings without one.
 *
 * A callback that fails, at once or as a promise, becomes a warning: it must neither stop the caller nor, as
 * an unhandled rejection, end the process.
 */
export function reporting(onChange: ((message: string) => void) | undefined, code: string): (message: string) => void {
  const report = onChange ?? ((message: string) => process.emitWarning(message, { code }));
  return (message) => {
    (async () => report(message))().catch((error: unknown) =>
      process.emitWarning(`onChange failed: ${String(error)}; the message was: ${message}`, { code }),
    );
  };
}
