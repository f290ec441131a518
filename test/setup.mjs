// Makes a machine ready for the tests: Node's version, npm's modules, Debian's packages, rights for namespaces.
// Plain JavaScript without dependencies, because it runs before anything is installed. Whatever it does it says.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Root of the repository. */
export const root = fileURLToPath(new URL("..", import.meta.url));

const EX_UNAVAILABLE = 69;

/** What the network laboratory runs, and the Debian package each command is in. */
export const labCommands = {
  ip: "iproute2",
  nft: "nftables",
  wg: "wireguard-tools",
  "wireguard-go": "wireguard-go",
  turnserver: "coturn",
  conntrack: "conntrack",
  iptables: "iptables",
  ping: "iputils-ping",
  tcpdump: "tcpdump",
  ps: "procps",
  nsenter: "util-linux",
  dhtnode: "dhtnode",
  "redis-server": "redis-server",
  "redis-cli": "redis-tools",
  knotd: "knot",
  openssl: "openssl",
  python3: "python3",
  "systemd-analyze": "systemd",
  dpkg: "dpkg",
  mmdebstrap: "mmdebstrap",
  zsh: "zsh",
  mandoc: "mandoc",
};

/** Ends the process when Node is too old for the project. */
export function requireNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  stop(`Cannot run on Node ${process.versions.node}: 20.19 or later is needed`);
}

/** `npm ci`, unless every module of package-lock.json is there in its version. */
export function ensureNodeModules() {
  if (modulesAreCurrent()) return;
  console.log("installing node_modules (npm ci)");
  const { status, error } = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: root, stdio: "inherit" });
  if (status !== 0) stop(`Cannot install node_modules: npm ci ${error?.message ?? `ended with status ${status}`}`);
}

function modulesAreCurrent() {
  const installedLock = join(root, "node_modules/.package-lock.json");
  if (!existsSync(installedLock)) return false;
  const { packages: wanted } = readJson(join(root, "package-lock.json"));
  const { packages: installed } = readJson(installedLock);
  // Optional packages are those of other operating systems.
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === "" || optional || installed[path]?.version === version,
  );
}

/**
 * Installs the Debian packages of those commands that are missing. `commands` is a table as `labCommands`. Without root
 * or apt-get it says what to do and ends the process.
 */
export function ensureDebianPackages(commands) {
  const missing = Object.keys(commands).filter((command) => !isInstalled(command));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((command) => commands[command]))];
  if (!isInstalled("apt-get")) {
    stop(`Cannot find ${missing.join(", ")}: install what Debian calls ${packages.join(" ")}`);
  }
  const install = ["apt-get", "install", "-y", "--no-install-recommends", ...packages];
  if (process.getuid() !== 0) {
    stop(`Cannot find ${missing.join(", ")}. Please run:\n\n    sudo ${install.join(" ")}\n`);
  }
  console.log(`installing Debian packages (${missing.join(", ")} not found): ${packages.join(" ")}`);
  const known = packages.every((name) => runApt(["apt-cache", "show", name], "ignore") === 0);
  if (!known && runApt(["apt-get", "update", "-q"]) !== 0) stop("Cannot read the lists of Debian packages: see above");
  // The lists may be of last week, and name files that are no longer there.
  if (runApt(install) !== 0 && (runApt(["apt-get", "update", "-q"]) !== 0 || runApt(install) !== 0)) {
    stop(`Cannot install ${packages.join(" ")}: see above`);
  }
  const still = missing.filter((command) => !isInstalled(command));
  if (still.length > 0) stop(`Cannot find ${still.join(", ")}, though the packages are installed`);
}

function runApt(argv, stdio = "inherit") {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  return spawnSync(argv[0], argv.slice(1), { stdio, env }).status;
}

/** Ends the process with a sentence when this user may not make network namespaces or tunnel devices. */
export function requireNamespaces({ command }) {
  if (process.getuid() !== 0) {
    stop(`Cannot make network namespaces: that needs root. Please run: sudo ${command}`);
  }
  const { status, stderr } = spawnSync("unshare", ["--net", "true"], { encoding: "utf8" });
  if (status !== 0) {
    stop(
      `Cannot make network namespaces: ${stderr.trim()} (a container needs the capabilities SYS_ADMIN and NET_ADMIN)`,
    );
  }
  if (!existsSync("/dev/net/tun")) {
    stop(
      "Cannot make tunnel devices: /dev/net/tun is missing (modprobe tun, or for a container --device /dev/net/tun)",
    );
  }
}

function isInstalled(command) {
  // /usr/sbin is not in everybody's PATH, and the laboratory looks there too.
  return [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"].some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function readJson(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}

function stop(message) {
  console.error(message);
  process.exit(EX_UNAVAILABLE);
}
