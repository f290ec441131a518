/**
 * One request of a connection at a time. Node reads what is pipelined at once, so that a limit to connections alone bounds
 * neither the memory nor the work: one connection with a thousand requests would have a thousand answers made.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Calls `handle` for the next request of a connection when the one before is answered. Who sends a third meanwhile is cut off. */
export function oneAtATime(handle: (request: IncomingMessage, response: ServerResponse) => void): RequestListener {
  /** The connections with a request under way, and what waits there: one may come before we know that the answer is out. */
  const busy = new WeakMap<Socket, { next?: () => void }>();

  function begin(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const turn: { next?: () => void } = {};
    busy.set(socket, turn);
    response.once("close", () => {
      busy.delete(socket);
      if (turn.next && !socket.destroyed && !socket.writableEnded) turn.next();
    });
    handle(request, response);
  }

  return (request, response) => {
    const turn = busy.get(request.socket);
    if (!turn) begin(request, response);
    else if (turn.next) request.socket.destroy();
    else turn.next = () => begin(request, response);
  };
}
