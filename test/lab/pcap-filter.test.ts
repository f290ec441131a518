/**
 * The filter expressions, compiled by the libpcap of this machine for every link type and run over packets made by hand;
 * and what libpcap is loaded from. Needs libpcap, which tcpdump brings, and no network.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import koffi from "koffi";
import { loadLibpcap } from "../../src/platform/native/libpcap.ts";
import { formatFilter } from "../../src/platform/pcap/filter.ts";
import { decodeFrame, dlt } from "../../src/platform/pcap/link-frame.ts";
import { answerV4, answerV6, frameOf, layers, match, PORT } from "../platform/pcap/frames.ts";

const library = koffi.load("libpcap.so.0.8");
const programPointer = koffi.pointer(koffi.struct({ bf_len: "uint", bf_insns: "void *" }));
const openDead = library.func("void *pcap_open_dead(int linkType, int snaplen)");
const close = library.func("void pcap_close(void *handle)");
const geterr = library.func("const char *pcap_geterr(void *handle)");
const compile = library.func("pcap_compile", "int", ["void *", koffi.out(programPointer), "str", "int", "uint32_t"]);
const offlineFilter = library.func("pcap_offline_filter", "int", [programPointer, "void *", "void *"]);

/** Compiles the filter for a link type; the function says which frames it lets in. */
function compileFilter(family: "ipv4" | "ipv6", linkType: number): (frame: Uint8Array) => boolean {
  const expression = formatFilter({ family, port: PORT, match }, linkType);
  const handle = openDead(linkType, 2048);
  const program = {};
  assert.equal(compile(handle, program, expression, 1, 0xffffffff), 0, `${geterr(handle)}: ${expression}`);
  close(handle);
  return (frame) => {
    // struct pcap_pkthdr of a 64-bit system.
    const header = new Uint32Array(6).fill(frame.length, 4);
    return offlineFilter(program, header, frame) !== 0;
  };
}

/** Numbers for the same that this libpcap does not know: of OpenBSD, and of capture files. */
const foreign: ReadonlySet<number> = new Set([dlt.rawOfOpenBsd, dlt.rawOfFiles]);

for (const layer of layers.filter(({ linkType }) => !foreign.has(linkType))) {
  // An address family of another system: libpcap compiles for its own.
  const families = /freebsd|darwin/.test(layer.name) ? (["ipv4"] as const) : (["ipv4", "ipv6"] as const);
  for (const family of families) {
    test(`the ${family} filter for ${layer.name} lets in answers and nothing else`, () => {
      const isLetIn = compileFilter(family, layer.linkType);
      const packet = family === "ipv4" ? answerV4 : answerV6;
      const other = family === "ipv4" ? answerV6 : answerV4;
      assert.ok(isLetIn(frameOf(layer, packet())));
      assert.ok(decodeFrame(frameOf(layer, packet()), layer.linkType), "and it can be decoded");
      if (family === "ipv4") {
        for (const optionBytes of [4, 24, 40]) assert.ok(isLetIn(frameOf(layer, answerV4({ optionBytes }))));
        assert.ok(isLetIn(frameOf(layer, answerV4({ fragment: 0x4000 }))), "don't fragment");
        assert.equal(isLetIn(frameOf(layer, answerV4({ fragment: 0x0010 }))), false, "a later fragment");
      }
      assert.equal(isLetIn(frameOf(layer, packet({ port: PORT + 1 }))), false, "another port");
      assert.equal(isLetIn(frameOf(layer, packet({ word: 0x2112a443 }))), false, "another word");
      assert.equal(isLetIn(frameOf(layer, other())), false, "the other family");
      assert.equal(isLetIn(frameOf(layer, packet().with(family === "ipv4" ? 9 : 6, 6))), false, "TCP");
      assert.equal(isLetIn(frameOf(layer, packet()).subarray(0, 30)), false, "a cut packet");
    });
  }
}

test("a filter can be compiled for the link types that have one family only", () => {
  assert.ok(compileFilter("ipv4", dlt.ipv4)(answerV4()));
  assert.ok(compileFilter("ipv6", dlt.ipv6)(answerV6()));
});

test("libpcap is found, says who it is, and tells what is wrong", async () => {
  const libpcap = await loadLibpcap("linux");
  assert.match(libpcap.version, /^libpcap version 1\./);
  assert.match(libpcap.statusText(-8), /permission/i);
  const handle = libpcap.create("no-such-device0");
  assert.equal(libpcap.activate(handle), -5);
  libpcap.close(handle);
});
