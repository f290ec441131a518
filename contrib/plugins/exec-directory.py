#!/usr/bin/env python3
"""An `exec` plugin in Python: one file per key in the directory given as the argument.

It is asked by one line of JSON on standard input and answers by one JSON object on standard output.
"""
import json
import os
import re
import sys


def get(place):
    try:
        with open(place, encoding="ascii") as file:
            return {"success": True, "value": file.read()}
    except FileNotFoundError:
        return {"success": False, "error": "key not found"}


def put(place, value):
    # Written beside its place and renamed, so that nobody ever reads a part.
    os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
    beside = f"{place}.{os.getpid()}"
    with open(beside, "w", encoding="ascii") as file:
        file.write(value)
    os.replace(beside, place)
    return {"success": True}


def answer(directory, request):
    key = request["key"]
    if not re.fullmatch("[0-9a-f]{40}", key):
        return {"success": False, "error": "a key is 40 hexadecimal characters"}
    place = os.path.join(directory, key)
    if request["action"] == "get":
        return get(place)
    if request["action"] == "set":
        return put(place, request["value"])
    return {"success": False, "error": "an action is get or set"}


os.umask(0o077)
try:
    [directory] = sys.argv[1:]
    reply = answer(os.path.abspath(directory), json.loads(sys.stdin.readline()))
except (OSError, ValueError, KeyError, TypeError) as error:
    reply = {"success": False, "error": f"{type(error).__name__}: {error}"}
print(json.dumps(reply))
