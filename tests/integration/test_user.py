"""`vestige user`: what a person of the test did, told in sentences with the rows behind them; the page
in a browser; names that would be markup."""

import csv
import html
import io
import json
import os
import re
import subprocess
import tempfile

from login_test import AUTH, Speaker
from network_test import Server
from person_test import DENY, FROM, PersonTest
from vestige_test import ACTOR, main, run, wait_for

SCRIPT = '<script>document.title="owned"</script>'
ESCAPE = "\x1b]0;owned\x07"
N = 3
WHOLE = "SELECT * FROM {} WHERE host_id = %s AND id = %s"


class UserTest(PersonTest):
    person = "u"
    deeds = None

    def setUp(self):
        super().setUp()
        if not UserTest.deeds:
            UserTest.deeds = self.do_deeds()

    def do_deeds(self):
        """Once for all tests of this file."""
        self.secret = UserTest.secret = f"/etc/vst-{self.name}"
        self.vestige.sync()
        self.write("deeds", f"""set -e
sudo {ACTOR} tcp-client 127.0.0.1 $1 {N} talker 0
sudo {ACTOR} show one
su root -c '{ACTOR} show two'
/bin/true "$2" "$3"
sudo cat /etc/shadow
sudo touch {self.secret}
sudo rm {self.secret}
sudo unshare --uts /bin/true
""")
        with Server("tcp-server", "127.0.0.1", N) as server:
            self.log_in("/bin/sh", self.path("deeds"), str(server.port), SCRIPT, ESCAPE)
            UserTest.port = server.port
        self.log_in("/bin/true", where="2001:db8::7")
        self.write("pam", DENY)
        self.log_in("/bin/sh", "-c", "su root -c id", status=1)
        with Speaker() as sshd:
            sshd.pam(AUTH, "authentication", self.name, result="failed", host="198.18.0.66")
        self.vestige.sync()
        return True

    def facts(self, *words):
        """Sentences by the title of their section."""
        document = json.loads(self.ask("user", self.name, "--format", "json", *words).stdout)
        return {section["title"]: section["facts"] for section in document["sections"]}

    def facts_and(self, ask):
        """The facts, and what ask() gave when they were these: a gap may be told at any moment."""
        def told():
            facts, answer = self.facts(), ask()
            return (facts, answer) if facts == self.facts() else None
        return wait_for(told, 60, "nothing is told between two questions")

    def sentences(self, title, drop=r"; (at|first) 2.*"):
        """Without the moments."""
        return [re.sub(drop, "", fact["sentence"]) for fact in self.facts()[title]]


class TestFacts(UserTest):
    def test_sentences(self):
        me, facts = self.name, self.facts()
        host = facts["Sessions"][0]["host"]
        self.assertEqual([f"On {host} {me} has number {self.uid}, home /home/{me}, shell /bin/sh, "
                          "password locked"],
                         [fact["sentence"].partition("; so since")[0] for fact in facts["Account"]])
        self.assertEqual([f"{me} logged in 2 times on {host} from {FROM} by sshd",
                          f"{me} logged in once on {host} from 2001:db8::7 by sshd"],
                         self.sentences("Sessions"))
        self.assertEqual([f"{me} became root by sudo 6 times on {host}",
                          f"{me} became root by su once on {host}",
                          f"{me} ran /usr/bin/sudo, which acts with the rights of root, 6 times on "
                          f"{host}",
                          f"{me} ran /usr/bin/su, which acts with the rights of root, 2 times on "
                          f"{host}"], self.sentences("Privilege"))
        self.assertEqual([f"{me} created, wrote, deleted, changed the attributes of {self.secret} on "
                          f"{host} with rm, touch as root, 3 times"],
                         [one for one in self.sentences("Sensitive files changed")
                          if "/etc/" in one])
        self.assertEqual([f"{me} read /etc/shadow on {host} with cat as root, once"],
                         [one for one in self.sentences("Sensitive files read")
                          if "/etc/shadow" in one])
        self.assertEqual([f"{me} talked to 127.0.0.1:{self.port} (localhost) by tcp from {host} with "
                          f"talker, {N} times; sent {100 * N} bytes, received {200 * N} bytes"],
                         self.sentences("Network"))
        self.assertEqual([f"One attempt as root by su failed on {host}",
                          f"One attempt as {me} by sshd from 198.18.0.66 failed on {host}"],
                         [re.sub(r" on terminal \S+", "", one)
                          for one in self.sentences("Failed attempts")])
        self.assertEqual([f"{me} did unshare of uts with unshare on {host}, once"],
                         self.sentences("Kernel events"))
        self.assertEqual([], facts["Devices"])

    def test_programs(self):
        """Counts as the process rows have them."""
        rows = self.vestige.query(
            "SELECT exe, COUNT(*) AS n, SUM(uid <> %s OR euid <> %s) AS others FROM process WHERE "
            "login_uid = %s AND login_username = %s GROUP BY exe", self.uid, self.uid, self.uid,
            self.name)
        facts = self.facts()
        told = {fact["program"]: (fact["n"], fact["others"] or 0) for title in
                ("Programs run most", "Programs run least") for fact in facts[title]}
        self.assertEqual({row["exe"]: (row["n"], row["others"]) for row in rows}, told)
        total, = facts["Programs"]
        self.assertEqual((len(rows), sum(row["n"] for row in rows)), (total["programs"], total["n"]))

    def test_each_has_its_rows(self):
        for title, facts in self.facts().items():
            for fact in facts:
                with self.subTest(title=title, sentence=fact["sentence"]):
                    self.assertEqual(min(fact["n"], 10), len(fact["row_ids"]))
                    for number in fact["row_ids"]:
                        rows = self.vestige.query(WHOLE.format(fact["row_table"]),
                                                  fact["row_host_id"], number)
                        self.assertEqual(1, len(rows))

    def test_text(self):
        done = self.ask("user", self.name)
        lines = done.stdout.splitlines()
        self.assertRegex(lines[0], rf"\ALogin user {self.name}: number {self.uid} on ")
        self.assertRegex(lines[1], r"\AFrom 2.* to 2.* \(default window\); all hosts\Z")
        self.assertRegex(lines[-1], r"\AEvidence from 2.* to 2.* is ")
        self.assertEqual("", done.stderr)
        self.assertNotIn("\x1b", done.stdout)
        session = self.facts()["Sessions"][1]
        self.assertIn(f"  {session['sentence']}.  [session {session['row_host_id']}/"
                      f"{session['row_ids'][0]}]\n", done.stdout)
        self.assertIn("\nDevices\n  Nothing was recorded.\n", done.stdout)

    def test_csv(self):
        told, done = self.facts_and(lambda: self.ask("user", self.name, "--format", "csv"))
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        self.assertEqual([fact["sentence"] for facts in told.values() for fact in facts],
                         [row["sentence"] for row in rows])
        self.assertRegex(done.stderr, r"\AFrom 2[^\n]+\nEvidence from 2[^\n]+\n\Z")

    def test_time_zone(self):
        utc = self.facts()["Sessions"][1]["first_at"]
        zoned = self.facts("--time-zone", "Asia/Tokyo")["Sessions"][1]
        self.assertRegex(zoned["first_at"], r"\+09:00\Z")
        self.assertNotEqual(utc[11:13], zoned["first_at"][11:13])
        self.assertIn(zoned["first_at"][:19], zoned["sentence"])

    def test_limit(self):
        done = self.ask("user", self.name, "--limit", "1")
        self.assertIn("  Cut after 1: more with --limit.\n", done.stdout)


class TestSelection(UserTest):
    def test_empty_window(self):
        done = self.ask("user", self.name, "--since", "2001-01-01", "--until", "2001-01-02", status=1)
        self.assertIn("\nSessions\n  Nothing was recorded.\n", done.stdout)
        self.assertIn("From 2001-01-01 00:00:00.000000 to 2001-01-02 00:00:00.000000; all hosts\n",
                      done.stdout)
        self.assertRegex(done.stdout.splitlines()[-1], "nothing was watched")

    def test_by_number(self):
        self.assertIn(f"user {self.uid} became root by sudo 6 times",
                      self.ask("user", str(self.uid)).stdout)

    def test_errors(self):
        self.assertEqual(f'there is no login user "{self.name}x" in the evidence; did you mean '
                         f'"{self.name}"?', self.refuse("user", self.name + "x"))
        for word in ("%", "_", "' OR 1=1 -- ", "a" * 65536, "\\", "\u202e"):
            self.assertRegex(self.refuse("user", word), r"\Athere is no login user ")
        self.assertRegex(self.refuse("user", "unset"), r"\Aunset is no user")
        self.assertRegex(self.refuse("user", self.name, "--on", "nowhere"),
                         r"\Athere is no host \"nowhere\"")
        self.assertEqual("NAME is the login user; leave out --login-user",
                         self.refuse("user", self.name, "--login-user", "root"))
        self.assertEqual("--since is after --until", self.refuse(
            "user", self.name, "--since", "now", "--until", "2001-01-01"))
        self.assertRegex(self.refuse("user"), r"\Atoo few words")
        self.assertRegex(self.refuse("user", self.name, "--html", "/no/such/directory/page"),
                         r"\Acannot write the page /no/such/directory/page")

    def test_closed_pipe(self):
        done = subprocess.run(["sh", "-c", '"$@" | head -1; exit 0', "sh",
                               *self.vestige.client("user", self.name)], capture_output=True,
                              text=True, timeout=60)
        self.assertEqual((1, ""), (done.stdout.count("\n"), done.stderr))


class TestPage(UserTest):
    def setUp(self):
        super().setUp()
        self.page = self.path("page.html")
        self.text = self.make_page()

    def make_page(self):
        self.ask("user", self.name, "--html", self.page)
        with open(self.page, encoding="utf-8") as stream:
            return stream.read()

    def browse(self, *options):
        """What the browser makes of the page, and its console."""
        # A part of the browser may still write there when it has ended.
        with tempfile.TemporaryDirectory(prefix="vestige-test-", ignore_cleanup_errors=True) as profile:
            done = run("chromium", "--headless", "--no-sandbox", "--disable-gpu",
                       f"--user-data-dir={profile}", "--enable-logging=stderr", *options,
                       f"file://{self.page}", env={**os.environ, "HOME": profile})
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    def test_evidence_is_text(self):
        """A script in an argument, and an escape sequence, are in the page, and are nothing but text."""
        self.assertIn(html.escape(SCRIPT), self.text)
        self.assertIn(r"\x1b]0;owned\x07", self.text)
        self.assertNotIn(SCRIPT, self.text)
        self.assertNotIn("<script", self.text)
        self.assertNotIn("\x1b", self.text)
        seen, console = self.browse("--dump-dom")
        self.assertEqual([], console)
        self.assertIn(f"<title>{self.name}: what was recorded</title>", seen)
        self.assertEqual(self.text.count("<li>"), seen.count("<li>"))

    def test_same_facts(self):
        sections, text = self.facts_and(self.make_page)
        for facts in sections.values():
            for fact in facts:
                told = html.escape(fact["sentence"]).replace("&#x27;", "&#39;")
                self.assertIn(re.sub(r"; \d+ s in all", "", told).partition("; first")[0][:200],
                              re.sub(r"; \d+ s in all", "", text))

    def test_whole_rows(self):
        """Behind the session all that its row has, and only what is known."""
        row = self.only(self.vestige.query("SELECT * FROM session WHERE username = %s AND "
                                           "remote_address = '2001:db8::7'", self.name), "session")
        table = next(part for part in self.text.split("<table>") if f"<td>{row['id']}</td>" in part
                     and "2001:db8::7" in part).partition("</table>")[0]
        told = dict(re.findall(r"<tr><th>(\w+)</th><td>([^<]*)</td></tr>", table))
        self.assertEqual({name for name, value in row.items() if value is not None}, set(told))
        self.assertEqual(str(row["session_id"]), told["session_id"])

    def test_alone(self):
        """Nothing is loaded from elsewhere, nothing may run."""
        policy = re.search(r'Content-Security-Policy" content="([^"]+)"', self.text).group(1)
        self.assertRegex(policy, r"\Adefault-src 'none'; base-uri 'none'; form-action 'none'; "
                                 r"style-src 'sha256-[^']+' 'sha256-[^']+'\Z")
        self.assertEqual([], re.findall(r"(?:src|href|url)\s*[=(]", self.text))
        self.assertEqual(0o600, os.stat(self.page).st_mode & 0o777)

    def test_drawn(self):
        """In light and dark, wide and narrow: something is drawn, and no console error."""
        sizes = set()
        for width in (1200, 400):
            for dark in (0, 1):
                image = self.path("page.png")
                _, console = self.browse(f"--screenshot={image}", f"--window-size={width},1400",
                                         f"--blink-settings=preferredColorScheme={1 - dark}")
                self.assertEqual([], console)
                with open(image, "rb") as stream:
                    sizes.add(hash(stream.read()))
        self.assertEqual(4, len(sizes))

    def test_standard_output(self):
        done = self.ask("user", self.name, "--html", "-")
        self.assertTrue(done.stdout.startswith("<!DOCTYPE html>"))
        self.assertTrue(done.stdout.endswith("</html>\n"))
        self.assertRegex(done.stderr, r"\AEvidence from [^\n]+\n\Z")


if __name__ == "__main__":
    main()
