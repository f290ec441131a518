/** The plugins of contrib/plugins that need Python, run. */
import { testContribPlugin } from "../plugins/contrib-plugin.ts";

testContribPlugin({ kind: "exec", fileName: "exec-directory.py", keys: 8 });
testContribPlugin({ kind: "shell", fileName: "shell-directory.py", keys: 8 });
