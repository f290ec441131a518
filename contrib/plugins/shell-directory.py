#!/usr/bin/env python3
"""A `shell` plugin in Python: one file per key in the directory given as the argument.

It is asked by lines STUNMESH_ACTION=..., STUNMESH_KEY=... and STUNMESH_VALUE=... on standard input. What a get writes to
standard output is the value; an exit status other than 0 is a failure, and standard error says which.
"""
import os
import sys

os.umask(0o077)
if len(sys.argv) != 2:
    sys.exit("give a directory as the only argument")
request = dict(line.rstrip("\n").split("=", 1) for line in sys.stdin if "=" in line)
directory = os.path.abspath(sys.argv[1])
place = os.path.join(directory, os.path.basename(request["STUNMESH_KEY"]))

if request["STUNMESH_ACTION"] == "get":
    try:
        with open(place, encoding="ascii") as file:
            print(file.read())
    except FileNotFoundError:
        sys.exit("key not found")
elif request["STUNMESH_ACTION"] == "set":
    os.makedirs(directory, mode=0o700, exist_ok=True)
    # Written beside its place and renamed, so that nobody ever reads a part.
    beside = f"{place}.{os.getpid()}"
    with open(beside, "w", encoding="ascii") as file:
        file.write(request["STUNMESH_VALUE"])
    os.replace(beside, place)
else:
    sys.exit("an action is get or set")
