"""Tests that need no agent: one MariaDB server a class, with the schema and the hosts that it names."""

import unittest

from private_server import VestigeServer


class ServerTest(unittest.TestCase):
    maxDiff = None
    hosts = ()  # host_id 1, 2, ...

    @classmethod
    def setUpClass(cls):
        cls.server = VestigeServer()
        cls.addClassCleanup(cls.server.close)
        for name in cls.hosts:
            cls.server.enrol(name)
        cls.root = cls.server.root("vestige")
        cls.addClassCleanup(cls.root.close)
