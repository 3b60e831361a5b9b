"""Files on filesystems that come and go, below another mount, in an overlay, and in a mount namespace
of somebody's own: each row has the path that the host sees, or says where it is."""

import os

from file_test import FileTest
from vestige_test import ACTOR, act, brief, main, run, unmount, wait_for

N = 97
LOGIN = 1000


class TestMounts(FileTest):
    def make_directory(self, *names):
        os.makedirs(self.path(*names))
        return self.path(*names)

    def mount(self, *parameters, target):
        os.makedirs(target, exist_ok=True)
        run("mount", *parameters, target)
        self.addCleanup(unmount, target)

    def make_files(self, directory, prefix=()):
        """An actor makes N files; its pid."""
        return act("login", LOGIN, *prefix, ACTOR, "files-make", directory, N)[0]

    def coverage(self):
        self.vestige.sync()
        return self.vestige.value("SELECT detail FROM coverage WHERE source = 'fanotify' "
                                  "AND destroyed_at IS NULL")

    def watched(self, text):
        wait_for(lambda: text in self.coverage(), 60, f"'{text}' is watched", 0.1)

    def assert_made(self, pid, directory, uid=0):
        """Exactly the files that the actor made, by it, below this directory."""
        self.vestige.sync()
        rows = self.accesses("pid = %s AND FIND_IN_SET('create', operations)", pid)
        rows.sort(key=lambda row: row["path"])
        self.assertEqual([os.path.join(directory, f"file-{i:04}") for i in range(N)],
                         [row["path"] for row in rows], brief(rows[:3]))
        for row in rows:
            self.assert_ended(row, operations="write,create", uid=uid, login_uid=LOGIN, opens=1,
                              size=7, end_cause="closed", seen_by="fanotify", application="actor")
        return rows

    def test_loop_device(self):
        """A filesystem in a file is mounted, used and unmounted, and its device is another one."""
        image, mounted = self.path("image"), self.make_directory("mounted")
        with open(image, "wb") as stream:
            stream.truncate(16 << 20)
        run("mkfs.ext4", "-q", "-F", image)
        self.mount("-o", "loop", image, target=mounted)
        self.watched(f"ext4 {mounted}")
        inside = self.make_files(mounted)
        self.vestige.sync()  # what it says of inode, mode and size is read from the file
        unmount(mounted)
        wait_for(lambda: f"ext4 {mounted}" not in self.coverage(), 60, "it is gone", 0.1)
        below = self.make_files(mounted)
        devices = {row["device"] for row in self.assert_made(inside, mounted)}
        others = {row["device"] for row in self.assert_made(below, mounted)}
        self.assertEqual((1, 1, 2), (len(devices), len(others), len(devices | others)))
        self.assert_nothing_lost()

    def test_bind_mount(self):
        """The path in the filesystem's own mount."""
        self.mount("--bind", self.make_directory("real"), target=self.path("bound"))
        pid = self.make_files(self.path("bound"))
        self.assert_made(pid, self.path("real"))
        self.assert_nothing_lost()

    def test_overlay(self):
        """The path in the overlay, though the events come from its layers."""
        for name in ("lower", "upper", "work"):
            self.make_directory(name)
        merged = self.path("merged")
        self.mount("-t", "overlay", "overlay", "-o",
                   f"lowerdir={self.path('lower')},upperdir={self.path('upper')},"
                   f"workdir={self.path('work')}", target=merged)
        self.watched(f"overlay {merged} (through its layers)")
        pid = self.make_files(merged)
        self.assert_made(pid, merged)
        self.assert_nothing_lost()

    def test_private_mount_namespace(self):
        """A directory that only a container sees under another path: the path is the host's."""
        real, place = self.make_directory("real"), self.make_directory("place")
        script = 'mount --bind "$0" "$1" && shift && exec "$@"'
        pid = self.make_files(place, ("unshare", "-m", "sh", "-c", script, real, place))
        self.assertEqual([], os.listdir(place))
        self.assert_made(pid, real)
        self.assert_nothing_lost()


if __name__ == "__main__":
    main()
