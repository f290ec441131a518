// One end of a tunnel under observation: answers UDP probes, and sends one every few milliseconds to each target. Says
// for every answer when the probe was sent and when the answer came: "TARGET SENT RECEIVED", milliseconds since 1970.
//
//   node tunnel-prober.mjs PORT EVERY_MS TARGET...
import { createSocket } from "node:dgram";

const [port, everyMs, ...targets] = process.argv.slice(2);
const now = () => performance.timeOrigin + performance.now();

const socket = createSocket("udp4");
// The interface may be gone for a while: sending fails then, which is what a lost probe looks like.
socket.on("error", (error) => console.error(error.message));
socket.on("message", (message, from) => {
  const text = message.toString("latin1");
  if (text.startsWith("?")) socket.send(`!${text.slice(1)}`, from.port, from.address, ignore);
  else if (text.startsWith("!")) console.log(`${from.address} ${text.slice(1)} ${now().toFixed(1)}`);
});
socket.bind(Number(port), () => {
  setInterval(() => {
    for (const target of targets) socket.send(`?${now().toFixed(1)}`, Number(port), target, ignore);
  }, Number(everyMs));
});

// With a callback a failed send is not an "error" event.
function ignore() {
  return undefined;
}
