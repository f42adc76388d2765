"""The sandbox's README says how Stripe's SDKs reach it: its Python and its Node run as they stand there."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from support import PATIENCE_SECONDS, World

README = pathlib.Path(__file__).resolve().parents[2] / "tools" / "stripe-sandbox" / "README.md"


class ReadmeTest(unittest.TestCase):
    def setUp(self):
        self.world = World(f"python-{self.id().rpartition('.')[2].removeprefix('test_')}")
        self.addCleanup(self.world.end)

    def block(self, language):
        """The README's one block in a language, with the key and the port of this world."""
        (block,) = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
        port = self.world.url.rpartition(":")[2]
        for written, here in (("sk_test_mine", "sk_test_peers"), ("12111", port)):
            self.assertIn(written, block)
            block = block.replace(written, here)
        return block

    def run_as(self, command, name, text, folder):
        """Runs a text as a program of its own; gives what it prints."""
        program = pathlib.Path(folder, name)
        program.write_text(text)
        ended = subprocess.run([command, str(program)], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        return ended.stdout

    def made(self, kind):
        return [one["object"] for one in self.world.control(f"objects/{kind}")["data"]]

    def test_the_python_of_the_readme_leads_to_a_page_that_can_be_paid(self):
        with tempfile.TemporaryDirectory() as folder:
            url = self.run_as(sys.executable, "readme.py", self.block("python"), folder).strip()
        self.assertEqual([one["email"] for one in self.made("customer")], ["jenny@example.com"])
        status, headers, _ = self.world.pay(url, "4242 4242 4242 4242")
        (session,) = self.made("checkout.session")
        self.assertEqual((status, headers["location"]), (303, f"https://example.com/done?session={session['id']}"))
        self.assertEqual((session["status"], session["amount_total"]), ("complete", 2000))
        self.world.settle()
        self.assertEqual(self.world.receiver.refused, [])

    @unittest.skipUnless(os.environ.get("PEERS_NODE"), "without Node's SDK")
    def test_the_node_of_the_readme_makes_a_customer(self):
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(pathlib.Path(os.environ["PEERS_NODE"], "node_modules"), pathlib.Path(folder, "node_modules"))
            self.run_as("node", "readme.mjs", self.block("js"), folder)
        self.assertEqual([one["email"] for one in self.made("customer")], ["jenny@example.com"])
        self.world.settle()
        self.assertEqual(self.world.receiver.types(), ["customer.created"])


if __name__ == "__main__":
    unittest.main()
