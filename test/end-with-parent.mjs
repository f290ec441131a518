// Loaded into the process of every test file (run.mjs): it ends soon after the runner, which may be killed.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, "SIGTERM");
}, 500).unref();
