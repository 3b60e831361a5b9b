"""The agent and names of addresses: that it looks them up is coverage, and can be switched off."""

from vestige_test import VestigeTest, main, memory_kib, task_cpu_ns, wait_for


class TestResolverAgent(VestigeTest):
    audited = False

    def coverage(self):
        """When the resolver's thread has said what it does; no sync waits for that."""
        def told():
            self.vestige.sync()
            return [(row["mode"], row["detail"]) for row in self.vestige.query(
                "SELECT mode, detail FROM coverage WHERE source = 'resolver' "
                "AND destroyed_at IS NULL")]
        return wait_for(told, 60, "coverage of the resolver", 0.1)

    def test_on_and_off(self):
        (mode, detail), = self.coverage()
        self.assertEqual("on", mode)
        self.assertRegex(detail, "^hosts file and dns by .")
        wait_for(lambda: "resolver" in task_cpu_ns([self.vestige.agent_pid]), 60, "its thread")
        self.vestige.stop()
        self.vestige.configure(names={"servers": "127.0.0.1:5300,[::1]:5301"})
        self.vestige.start()
        self.assertEqual([("on", "hosts file and dns by 127.0.0.1:5300,[::1]:5301")],
                         self.coverage())
        self.vestige.stop()
        self.vestige.configure(names={"resolve": "off"})
        self.vestige.start()
        self.assertEqual([("off", "switched off by configuration")], self.coverage())
        self.assertNotIn("resolver", task_cpu_ns([self.vestige.agent_pid]))
        self.vestige.stop()
        self.vestige.configure(names={"servers": "ns.example"})
        self.vestige.start()
        (mode, detail), = self.coverage()
        self.assertEqual("off", mode)
        self.assertIn("[names] servers = ns.example: write addresses", detail)
        self.assertLess(memory_kib(self.vestige.agent_pid, "VmRSS"), 60 * 1024)


if __name__ == "__main__":
    main()
