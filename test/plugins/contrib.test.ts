/** The plugins of contrib/plugins that need nothing but sh and Node, run. Those in Python: test/lab/contrib.test.ts. */
import { testContribPlugin } from "./contrib-plugin.ts";

testContribPlugin({ kind: "exec", fileName: "exec-directory.sh", keys: 20 });
testContribPlugin({ kind: "exec", fileName: "exec-directory.mjs", keys: 4 });
testContribPlugin({ kind: "shell", fileName: "shell-directory.sh", keys: 20 });
testContribPlugin({ kind: "shell", fileName: "shell-directory.mjs", keys: 4 });
