import assert from "node:assert/strict";
import { test } from "node:test";
import { watchNetwork } from "../../../src/platform/bsd/network-monitor.ts";
import { createFakeBsd } from "../../fakes/bsd-host.ts";
import { type BsdName, constantOf } from "../../fixtures/bsd-constants.ts";
import { routeMessage } from "./route-messages.ts";

const names = ["freebsd", "darwin"] satisfies readonly BsdName[];

function setUp(name: BsdName, ignored: readonly string[] = []) {
  const host = createFakeBsd(name);
  const changes: string[] = [];
  const watch = watchNetwork(({ kind, interface: on = "?" }) => changes.push(`${kind} ${on}`), {
    host,
    isIgnored: (one) => ignored.includes(one),
  });
  return {
    host,
    watch,
    take: () => changes.splice(0),
    /** The routing socket that is open. */
    get socket() {
      const [socket, ...others] = host.open();
      assert.ok(socket && others.length === 0);
      return socket;
    },
  };
}

for (const name of names) {
  const message = (
    ...[type, fields]: Parameters<typeof routeMessage> extends [unknown, ...infer Rest] ? Rest : never
  ) => ({
    bytes: routeMessage(name, type, fields),
  });
  const flag = (constant: string) => constantOf(name, constant);

  test(`watchNetwork on ${name} tells changes of addresses, routes and links, and needs only a routing socket`, async () => {
    const { host, socket, take, watch } = setUp(name);
    assert.deepEqual([socket.kind, socket.protocol, socket.isNonBlocking], ["route", 0, true]);
    await host.deliver(socket, message("RTM_NEWADDR", { index: 2 }));
    assert.deepEqual(take(), ["address em0"]);
    await host.deliver(
      socket,
      message("RTM_DELETE", { index: 2, flags: 3 }),
      message("RTM_ADD", { index: 5, flags: 3 }),
    );
    assert.deepEqual(take(), ["route em0", "route wg0"]);
    await host.deliver(socket, message("RTM_IFINFO", { index: 2, flags: flag("IFF_UP") }));
    assert.deepEqual(take(), ["link em0"]);
    await host.deliver(socket, message("RTM_CHANGE", { index: 0, flags: 3 }), message("RTM_DELADDR", { index: 77 }));
    assert.deepEqual(take(), ["route ?", "address ?"]);
    await watch.close();
    assert.deepEqual(host.open(), []);
  });

  test(`watchNetwork on ${name} tells the same once in one turn, and a link that is as it was not at all`, async () => {
    const { host, socket, take, watch } = setUp(name);
    const address = message("RTM_NEWADDR", { index: 2 });
    await host.deliver(socket, ...Array.from({ length: 100 }, () => address));
    assert.deepEqual(take(), ["address em0"]);
    const link = (flags: number) => message("RTM_IFINFO", { index: 2, flags });
    const running = flag("IFF_UP") | flag("IFF_RUNNING");
    await host.deliver(socket, link(running));
    await host.deliver(socket, link(running), link(running | 0x100));
    assert.deepEqual(take(), ["link em0"]);
    await host.deliver(socket, link(flag("IFF_UP")));
    assert.deepEqual(take(), ["link em0"]);
    await watch.close();
  });

  test(`watchNetwork on ${name} takes neighbours, the kernel's own routes and what was refused for nothing`, async () => {
    const { host, socket, take, watch } = setUp(name);
    const own = ["RTF_LLDATA", "RTF_LOCAL", "RTF_BROADCAST", "RTF_MULTICAST"].map(flag);
    if (name === "darwin") own.push(flag("RTF_WASCLONED"));
    await host.deliver(
      socket,
      ...own.map((bit) => message("RTM_ADD", { index: 2, flags: 5 | bit })),
      message("RTM_ADD", { index: 2, flags: 3, errno: 17 }),
      { bytes: routeMessage(name, "RTM_ADD", { index: 2 }).with(3, 7) },
      { bytes: new Uint8Array(500).fill(0xff) },
    );
    assert.deepEqual(take(), []);
    await watch.close();
  });

  test(`watchNetwork on ${name} ignores the tunnels, also when they are gone by the time that is read`, async () => {
    const { host, socket, take, watch } = setUp(name, ["wg0"]);
    host.interfaces.delete("wg0");
    await host.deliver(
      socket,
      message("RTM_DELADDR", { index: 5 }),
      message("RTM_DELETE", { index: 5, flags: 3 }),
      message("RTM_IFINFO", { index: 5, flags: 0 }),
    );
    assert.deepEqual(take(), []);
    // Its number is another's now.
    host.interfaces.set("ppp0", { index: 5, addresses: [] });
    await host.deliver(socket, message("RTM_NEWADDR", { index: 5 }));
    assert.deepEqual(take(), ["address ppp0"]);
    await watch.close();
  });

  test(`watchNetwork on ${name} says that something was lost, once`, async () => {
    const { host, socket, take, watch } = setUp(name);
    await host.deliver(socket, "ENOBUFS", message("RTM_NEWADDR", { index: 2 }), "ENOBUFS");
    assert.deepEqual(take(), ["unknown ?", "address em0"]);
    assert.equal(host.open().length, 1);
    await watch.close();
  });

  test(`watchNetwork on ${name} renews a socket that broke, and says then that something may have changed`, async () => {
    const test = setUp(name);
    const { host, take, watch } = test;
    await host.deliver(test.socket, message("RTM_NEWADDR", { index: 2 }), "EIO");
    assert.deepEqual(take(), ["address em0"]);
    assert.deepEqual(host.open(), []);
    host.failing.set("socket", "ENOBUFS");
    await host.clock.advance(2_000);
    assert.deepEqual(take(), []);
    host.failing.delete("socket");
    await host.clock.advance(1_000);
    assert.deepEqual(take(), ["unknown ?"]);
    await host.deliver(test.socket, message("RTM_NEWADDR", { index: 2 }));
    assert.deepEqual(take(), ["address em0"]);
    await host.deliver(test.socket, "EIO");
    await watch.close();
    await host.clock.advance(600_000);
    assert.deepEqual(take(), []);
    assert.deepEqual(host.open(), []);
    assert.equal(host.clock.sleeping, 0);
  });

  test(`watchNetwork on ${name} goes on without options, but throws when it cannot begin`, async () => {
    const host = createFakeBsd(name);
    for (const option of ["SO_RCVBUF", "SO_RERROR"]) host.failing.set(`setsockopt ${option}`, "ENOPROTOOPT");
    await watchNetwork(() => undefined, { host }).close();
    host.failing.set("fcntl", "EINVAL");
    const begin = () => watchNetwork(() => undefined, { host });
    assert.throws(begin, { code: "SYSTEM_CALL_FAILED", message: "Cannot watch the network: EINVAL (fcntl)" });
    host.failing.set("socket", "EMFILE");
    assert.throws(begin, { code: "SYSTEM_CALL_FAILED", message: "Cannot watch the network: EMFILE (socket)" });
    assert.deepEqual(host.open(), []);
  });
}

test("watchNetwork on FreeBSD tells interfaces that come and go, and learns what a number means now", async () => {
  const { host, socket, take, watch } = setUp("freebsd", ["wg1"]);
  const message = (type: Parameters<typeof routeMessage>[1], fields: Parameters<typeof routeMessage>[2]) => ({
    bytes: routeMessage("freebsd", type, fields),
  });
  const running = { index: 2, flags: 0x41, linkState: 2 };
  await host.deliver(socket, message("RTM_IFINFO", running));
  await host.deliver(socket, message("RTM_IFINFO", { ...running, linkState: 1 }));
  assert.deepEqual(take(), ["link em0", "link em0"]);
  // wg1 comes and is gone again before its messages are read.
  await host.deliver(
    socket,
    message("RTM_IFANNOUNCE", { index: 9, name: "wg1", what: 0 }),
    message("RTM_NEWADDR", { index: 9 }),
    message("RTM_IFANNOUNCE", { index: 9, name: "wg1", what: 1 }),
  );
  assert.deepEqual(take(), []);
  await host.deliver(socket, message("RTM_IFANNOUNCE", { index: 9, name: "ue0", what: 0 }));
  await host.deliver(socket, message("RTM_NEWADDR", { index: 9 }));
  assert.deepEqual(take(), ["link ue0", "address ue0"]);
  await watch.close();
});

test("watchNetwork reads a long queue in parts", async () => {
  const { host, socket, take, watch } = setUp("freebsd");
  const item = { bytes: routeMessage("freebsd", "RTM_NEWADDR", { index: 2 }) };
  await host.deliver(socket, ...Array.from({ length: 200 }, () => item));
  assert.deepEqual(take(), ["address em0"]);
  await host.deliver(socket);
  assert.deepEqual(take(), ["address em0"]);
  await watch.close();
});

test("watchNetwork begins when an interface goes away meanwhile, and closes its socket when it cannot begin", async () => {
  const host = createFakeBsd("freebsd");
  const interfaces = host.readInterfaces();
  const list = () => [...interfaces, { name: "gone0", isUp: true, isLoopback: false, addresses: [] }];
  await watchNetwork(() => undefined, { host: { ...host, readInterfaces: list } }).close();
  const broken = {
    ...host,
    readInterfaces() {
      throw new Error("ENOMEM");
    },
  };
  assert.throws(() => watchNetwork(() => undefined, { host: broken }), {
    code: "SYSTEM_CALL_FAILED",
    message: /ENOMEM/,
  });
  assert.deepEqual(host.open(), []);
});

test("watchNetwork on FreeBSD asks to be told of what is lost; macOS cannot tell", async () => {
  const seen = names.map((name) => setUp(name).socket.options.map((option) => option.name));
  assert.deepEqual(seen, [["SO_RCVBUF", "SO_RERROR"], ["SO_RCVBUF"]]);
});
