/** Waiting for something shared: who gives up leaves, and what is waited for goes on for the others. */

/** As `promise`, but rejects with the reason of `signal` as soon as that is aborted; `promise` may then settle unheard. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
