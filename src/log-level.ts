/** The names of log levels and formats, without the logger. */

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

export const logFormats = ["console", "json"] as const;
export type LogFormat = (typeof logFormats)[number];
