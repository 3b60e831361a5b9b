#!/usr/bin/python3
"""Agent and server are killed at random under load; what was made is stored or counted, and nothing is
there twice. `--kills N` (24) and `--seed N` (the clock's) may follow the program's name; a failure is
had again, as far as time allows, with the seed that is printed.

The agent is ship_load: real journal, real shipper, rows whose number is known though it is killed. A
smaller part does the same to vestiged itself, on this machine."""

import argparse
import os
import random
import sys
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from load_fixture import Load
from ship_fixture import ShipServer

KILLS = 24
SEED = int(time.time())
QUICK = ("--retry-first", 20, "--retry-most", 200)


class Chaos(unittest.TestCase):
    """One server, two agents whose batches are small, so that many are on their way; a third of the
    kills meets the server."""

    def test_agent_and_server_are_killed(self):
        chance = random.Random(SEED)
        print(f"seed {SEED}, {KILLS} kills", flush=True)
        server = ShipServer()
        self.addCleanup(server.close)
        loads = []
        for host_id in (7, 8):
            if host_id != 7:
                server.add_agent(host_id)
            load = Load(server, host_id)
            self.addCleanup(load.remove)
            self.options = ("--rate", 2000, "--seal", 20, "--checkpoint", 500, *QUICK)
            loads.append(load.start(*self.options))
        killed = {"agent": 0, "server": 0}
        try:
            for _ in range(KILLS):
                time.sleep(chance.expovariate(1 / 0.5) if chance.random() < 0.7
                           else chance.uniform(0, 0.05))
                if chance.random() < 0.33:
                    killed["server"] += 1
                    server.kill()
                    time.sleep(chance.uniform(0, 0.5))
                    server.start()
                else:
                    killed["agent"] += 1
                    load = chance.choice(loads)
                    load.kill()
                    time.sleep(chance.uniform(0, 0.2))
                    load.start(*self.options)
            for load in loads:
                result = load.drain()
                self.assertEqual(1, result.shipped, result.text)
                load.end()
                stored, counted = load.accounted()
                print(f"host {load.host_id}: {load.made()} made, {stored} stored, {counted} counted",
                      flush=True)
                self.assertGreater(stored, counted)
            print(f"killed: {killed}", flush=True)
        except BaseException:
            print(f"again with: test_chaos.py --seed {SEED} --kills {KILLS}", flush=True)
            raise


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments, rest = parser.parse_known_args()
    KILLS, SEED = arguments.kills, arguments.seed
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)
