"""An agent that has nothing to ship is heard all the same; the server tells one that ended from one that is
gone, and no start of it is a second machine."""

import configparser
import datetime
import os
import signal

from agent_alone import Agent
from server_test import ServerTest
from vestige_test import VESTIGED, main, run, wait_for


class TestAlive(ServerTest):
    hosts = ("here",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root.run("ALTER DEFINER = vestige_watcher@localhost EVENT vestige_watch"
                     " ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01'")
        enrolled = configparser.ConfigParser(interpolation=None)
        enrolled.read(os.path.join(cls.server.directory, "enrolled-here", "agent.cnf"))
        cls.agent = Agent()
        cls.addClassCleanup(cls.agent.remove)
        cls.agent.set_server(**{key: value.strip('"') for key, value in enrolled["vestige"].items()})

    def state(self, *columns):
        row, = self.root.run(f"SELECT {', '.join(columns)} FROM host_state")
        return row

    def heard(self, run_before):
        """The agent's run, once it gave a sign of life."""
        def found():
            agent_run, = self.state("agent_run")
            return agent_run if agent_run not in (None, run_before) else None
        return wait_for(found, 60, "a sign of life")

    def stop(self):
        """Its last run."""
        self.agent.stop_shipped()
        last, = self.state("agent_run")
        return last

    def ended(self):
        return self.root.value("SELECT COUNT(*) FROM coverage WHERE destroyed_at IS NULL") == 0

    def told(self):
        """What the watch says of the silence, a quarter of an hour later."""
        seen_at = self.root.value("SELECT UTC_TIMESTAMP(6)")
        self.root.run("CALL vestige_watch_at(%s)", seen_at + datetime.timedelta(minutes=16))
        return [row[0] for row in self.root.run("SELECT detail FROM finding WHERE class = 'host-silent'"
                                                " ORDER BY id")]

    def test_life(self):
        self.agent.start()
        self.heard(None)
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        version = run(VESTIGED, "--version").stdout.split()[1]
        self.assertEqual(self.state("boot_id", "agent_version", "address", "journal_full", "cloned_at",
                                    "ABS(server_offset_us) < 1000000", "journal_limit_bytes > 0"),
                         (boot, version, "localhost", 0, None, 1, 1))
        wait_for(lambda: not self.ended(), 60, "coverage is shipped")
        first = self.stop()
        self.assertTrue(self.ended())
        self.assertRegex(self.told()[-1], "^its agent had said that it ends")

        self.agent.start()
        second = self.heard(first)
        wait_for(lambda: not self.ended(), 60, "coverage is shipped")
        process, self.agent.process = self.agent.process, None
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertRegex(self.told()[-1], "^it went without a word")
        self.agent.start()
        self.heard(second)
        self.assertEqual(self.state("cloned_at"), (None,))
        self.agent.stop()


if __name__ == "__main__":
    main()
