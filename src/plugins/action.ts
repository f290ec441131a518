/** How messages name a call to a store, so that the same failure reads the same wherever it was noticed. */

export type StoreOperation = "get" | "set";

/** The middle of "Cannot ...: why": which operation, of which instance of the config file. */
export function storeAction(operation: StoreOperation, pluginName: string): string {
  return `${operation} ${operation === "get" ? "from" : "in"} plugin "${pluginName}"`;
}
