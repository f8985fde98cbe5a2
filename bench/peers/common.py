"""What the peers share: the input of bench/support/input.h and a timer. A peer prints one JSON document:
{"peers": {"NAME": "what was run and its version"}, "results": [{"name", "peer", "seconds", "value"}]}."""
import json
import sys
import time

import numpy as np


def hashed_values(n, multiplier=2654435761):
    mask = np.uint64(0xFFFFFFFF)
    h = ((np.arange(n, dtype=np.uint64) + np.uint64(1)) * np.uint64(multiplier)) & mask
    h ^= h >> np.uint64(15)
    h = (h * np.uint64(2246822519)) & mask
    return ((h >> np.uint64(8)).astype(np.float32) / np.float32(8388608) - np.float32(1)).astype(np.float32)


def once(min_seconds, call):
    """Seconds per call over at least min_seconds after one warm-up call, and the last result; None where calls differ.
    Without a least time (a smoke run) the warm-up falls away."""
    if min_seconds > 0:
        call()
    calls, start = 0, time.perf_counter()
    while True:
        result = call()
        calls += 1
        spent = time.perf_counter() - start
        if spent >= min_seconds:
            return spent / calls, None if result is None else float(result)


def main(peers, cases):
    """`cases`: (name, peer, function without arguments)."""
    min_seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.2
    results = []
    for name, peer, call in cases:
        seconds, value = once(min_seconds, call)
        results.append({"name": name, "peer": peer, "seconds": seconds, "value": value})
    print(json.dumps({"peers": peers, "results": results}))
