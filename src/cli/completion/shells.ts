/** Which shells there are scripts for. */
export const completionShells = ["bash", "zsh"] as const;
export type CompletionShell = (typeof completionShells)[number];
